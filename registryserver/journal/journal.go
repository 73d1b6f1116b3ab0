// Package journal reads the journal of systemd, by way of journalctl.
package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Entry is one entry of the journal.
type Entry struct {
	Cursor   string // its place
	Time     time.Time
	Unit     string // that wrote it, or that systemd writes about; "" is none
	Priority int    // 0 emergency, 3 error, 4 warning, 6 info, 7 debug
	Message  string // valid UTF-8
}

// maxLine bounds an entry in memory; longer ones are left out.
const maxLine = 1 << 20

// stopWait is how long journalctl may take to end.
const stopWait = 5 * time.Second

// Follow sends the entries after a place, or all if that is "", and then new
// ones, until ctx ends or journalctl does, which is an error. It closes the
// channel.
func Follow(ctx context.Context, after string, entries chan<- Entry) error {
	defer close(entries)
	args := []string{"--follow", "--lines=all", "--all", "--quiet", "--output=json", "--output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT,UNIT"}
	if after != "" {
		args = append(args, "--after-cursor="+after)
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.WaitDelay = stopWait
	var complaint bytes.Buffer
	cmd.Stderr = &limited{&complaint, 4096}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = read(ctx, out, entries)
	if ended := cmd.Wait(); ctx.Err() == nil {
		return fmt.Errorf("journalctl ended: %w: %s", errors.Join(err, ended), bytes.TrimSpace(complaint.Bytes()))
	}
	return nil
}

// read sends the entries of r. Those that cannot be read are left out.
func read(ctx context.Context, r io.Reader, entries chan<- Entry) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(lines)
		if e, parseErr := Parse(line); parseErr == nil {
			select {
			case entries <- e:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
}

// readLine returns the next line, or nothing of one that is too long.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLine {
			line = line[:0:0]
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Parse parses a line of journalctl --output=json; see systemd's journal export
// formats.
func Parse(line []byte) (Entry, error) {
	var fields struct {
		Cursor   value `json:"__CURSOR"`
		Time     value `json:"__REALTIME_TIMESTAMP"`
		Unit     value `json:"_SYSTEMD_UNIT"`
		About    value `json:"UNIT"`
		Priority value `json:"PRIORITY"`
		Message  value `json:"MESSAGE"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return Entry{}, fmt.Errorf("entry of the journal: %w", err)
	}
	micros, err := strconv.ParseInt(string(fields.Time), 10, 64)
	if err != nil || micros < 0 || !ValidCursor(string(fields.Cursor)) {
		return Entry{}, errors.New("entry of the journal: no time or no cursor")
	}
	e := Entry{Cursor: string(fields.Cursor), Time: time.UnixMicro(micros), Unit: string(fields.Unit), Priority: 6, Message: strings.ToValidUTF8(string(fields.Message), "\uFFFD")}
	if e.Unit == "init.scope" && fields.About != "" {
		e.Unit = string(fields.About)
	}
	if p, err := strconv.Atoi(string(fields.Priority)); err == nil && p >= 0 && p <= 7 {
		e.Priority = p
	}
	return e, nil
}

// ValidCursor reports whether s has the form of a place in a journal.
func ValidCursor(s string) bool {
	return len(s) > 0 && len(s) < 512 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '=' || r == ';')
	})
}

// value is a field: text, bytes as a list of numbers, nothing, or several of
// these, of which the first counts.
type value string

// UnmarshalJSON reads what journalctl writes.
func (v *value) UnmarshalJSON(data []byte) error {
	*v = ""
	switch {
	case len(data) > 0 && data[0] == '"':
		return json.Unmarshal(data, (*string)(v))
	case len(data) > 0 && data[0] == '[':
		var several []json.RawMessage
		if err := json.Unmarshal(data, &several); err != nil || len(several) == 0 {
			return err
		}
		if first := several[0]; first[0] == '"' || first[0] == '[' || first[0] == 'n' {
			if first[0] == '[' && bytes.ContainsAny(first[1:], `["`) {
				return errors.New("a list in a list in a list")
			}
			return v.UnmarshalJSON(first)
		}
		var text []byte
		for _, number := range several {
			b, err := strconv.ParseUint(string(number), 10, 8)
			if err != nil {
				return err
			}
			text = append(text, byte(b))
		}
		*v = value(text)
		return nil
	}
	if string(data) != "null" {
		return fmt.Errorf("a field cannot be %.20q", data)
	}
	return nil
}

// limited writes no more than so many bytes, and drops the rest.
type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.to.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

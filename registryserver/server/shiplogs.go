package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/awshost"
	"github.com/registrykit/terraform-provider-registry/registryserver/journal"
)

const (
	// registryUnit is the unit of which everything is shipped; of others, what is
	// at least a warning.
	registryUnit = "registry.service"
	warning      = 4
	// shipEvery is how long an entry waits for others to go with.
	shipEvery = 5 * time.Second
	// shipWait bounds the wait between two tries.
	shipWait = time.Minute
	// shipGrace is how long the end of the journal may take when shipping stops.
	shipGrace = 10 * time.Second
	// maxShipped is how much of a message is shipped that is not JSON by itself;
	// escaped it fits into an event.
	maxShipped = awshost.MaxLogMessage / 8
)

// ShipLogs brings the journal of this machine to CloudWatch Logs, into a stream
// of the machine's own, until ctx ends. In the folder state it keeps how far it
// has come, so that after a restart nothing is missing; what was shipped right
// before a crash is there twice.
func ShipLogs(ctx context.Context, c *Config, log *slog.Logger, state string) error {
	group := c.AWS.Logs.Group
	if group == "" {
		log.Info("there is nowhere to ship logs to: aws.logs.group is not set")
		return nil
	}
	host, err := awshost.New(ctx, awshost.Config{Region: c.AWS.Region, Log: log})
	if err != nil {
		return err
	}
	id, err := host.InstanceID(ctx)
	if err != nil {
		return err
	}
	s := &shipper{
		log: log, cursorFile: filepath.Join(state, "cursor"),
		put: func(ctx context.Context, events []awshost.LogEvent) (int, error) {
			return host.PutLogs(ctx, group, id, events)
		},
	}
	after, err := s.cursor()
	if err != nil {
		return err
	}
	log.Info("the journal is shipped", "group", group, "stream", id)
	following, stop := context.WithCancel(ctx)
	defer stop()
	entries := make(chan journal.Entry, 64)
	ended := make(chan error, 1)
	go func() { ended <- journal.Follow(following, after, entries) }()
	shipErr := s.ship(ctx, entries)
	stop()
	return errors.Join(shipErr, <-ended)
}

// shipper ships entries in batches: while one is sent, nothing is read.
type shipper struct {
	log        *slog.Logger
	cursorFile string
	put        func(context.Context, []awshost.LogEvent) (dropped int, err error)
}

// batch is what goes with one call.
type batch struct {
	events      []awshost.LogEvent
	size        int
	first, last time.Time
	cursor      string // of the last entry that was read
}

// add takes an entry into the batch; false leaves it for the next one.
func (b *batch) add(e journal.Entry) bool {
	message := shipped(e)
	if message == "" {
		b.cursor = e.Cursor
		return true
	}
	size := len(message) + awshost.LogOverhead
	first, last := e.Time, e.Time
	if len(b.events) > 0 {
		first, last = earlier(b.first, first), later(b.last, last)
	}
	if len(b.events) == awshost.MaxLogEvents || b.size+size > awshost.MaxLogBytes || last.Sub(first) > awshost.MaxLogSpan {
		return false
	}
	b.events = append(b.events, awshost.LogEvent{Time: e.Time, Message: message})
	b.size, b.first, b.last, b.cursor = b.size+size, first, last, e.Cursor
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ship sends entries until there are no more. A journal that ends because ctx
// did has a little time for the rest.
func (s *shipper) ship(ctx context.Context, entries <-chan journal.Entry) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(shipGrace, cancel) })
	defer stop()
	var left *journal.Entry
	for open := true; open; {
		var b batch
		if b, left, open = collect(left, entries); len(b.events) > 0 {
			if err := s.send(sending, b); err != nil {
				return err
			}
		}
		if b.cursor == "" {
			continue
		}
		if err := s.keep(b.cursor); err != nil {
			return err
		}
	}
	return nil
}

// collect waits for an entry to ship, and a little longer for more. It returns
// what did not go in, and whether there may be more.
func collect(left *journal.Entry, entries <-chan journal.Entry) (b batch, next *journal.Entry, open bool) {
	if left != nil {
		b.add(*left)
	}
	var full <-chan time.Time
	for {
		if full == nil && len(b.events) > 0 {
			full = time.After(shipEvery)
		}
		select {
		case e, open := <-entries:
			switch {
			case !open:
				return b, nil, false
			case !b.add(e):
				return b, &e, true
			}
		case <-full:
			return b, nil, true
		}
	}
}

// send sends a batch, again and again until it is taken or ctx ends.
func (s *shipper) send(ctx context.Context, b batch) error {
	slices.SortStableFunc(b.events, func(x, y awshost.LogEvent) int { return x.Time.Compare(y.Time) })
	for try := 0; ; try++ {
		dropped, err := s.put(ctx, b.events)
		switch {
		case err == nil && dropped > 0:
			s.log.Warn("CloudWatch Logs did not take all lines: they are too old or too new", "dropped", dropped)
			return nil
		case err == nil:
			if try > 0 {
				s.log.Info("logs are shipped again", "tries", try+1)
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("the newest lines were not shipped; the next start begins with them: %w", err)
		case try == 0:
			s.log.Warn("logs cannot be shipped; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(time.Second<<min(try, 6), shipWait)):
		}
	}
}

// shipped is what becomes of an entry, "" if it is not shipped: what the server
// writes in JSON as it is, so that its fields can be searched for, and the rest
// in the same form.
func shipped(e journal.Entry) string {
	message := strings.TrimRight(e.Message, "\n")
	if message == "" || e.Unit != registryUnit && e.Priority > warning {
		return ""
	}
	if e.Unit == registryUnit && message[0] == '{' && len(message) <= awshost.MaxLogMessage && json.Valid([]byte(message)) {
		return message
	}
	line, err := json.Marshal(struct {
		Time  time.Time `json:"time"`
		Level string    `json:"level"`
		Unit  string    `json:"unit,omitempty"`
		Msg   string    `json:"msg"`
	}{e.Time.UTC(), level(e.Priority), cut(e.Unit, 256), cut(message, maxShipped)})
	if err != nil { // no value of these types is one
		return ""
	}
	return string(line)
}

// level is slog's name of a priority of the journal.
func level(priority int) string {
	switch {
	case priority <= 3:
		return slog.LevelError.String()
	case priority == warning:
		return slog.LevelWarn.String()
	case priority == 7:
		return slog.LevelDebug.String()
	}
	return slog.LevelInfo.String()
}

// cursor is how far logs were shipped, "" if nowhere yet.
func (s *shipper) cursor() (string, error) {
	content, err := os.ReadFile(s.cursorFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	cursor := strings.TrimSpace(string(content))
	if !journal.ValidCursor(cursor) {
		s.log.Warn("how far logs were shipped cannot be read; all of the journal is shipped again", "file", s.cursorFile)
		return "", nil
	}
	return cursor, nil
}

// keep writes down how far logs were shipped.
func (s *shipper) keep(cursor string) error {
	fresh := s.cursorFile + ".new"
	if err := os.WriteFile(fresh, []byte(cursor+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, s.cursorFile)
}

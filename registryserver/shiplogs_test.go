package main_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// TestShipLogs: a real journal arrives in CloudWatch Logs, and across a restart nothing is missing and nothing is there twice.
func TestShipLogs(t *testing.T) {
	t.Parallel()
	write := startJournal(t)
	w := newAWSWorld(t)
	logs := cloudwatchlogs.New(cloudwatchlogs.Options{BaseEndpoint: &w.endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	const group = "/registry/images"
	state, file := t.TempDir(), writeConfig(t, filesystemConfig(t.TempDir())+"aws: {logs: {group: "+group+"}}\n")
	shipped := func() (lines []string) {
		stream, forward := instanceID, true
		out, err := logs.GetLogEvents(context.WithoutCancel(t.Context()), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(group), LogStreamName: &stream, StartFromHead: &forward})
		if err != nil {
			return nil
		}
		for _, e := range out.Events {
			if strings.Contains(*e.Message, "ship-logs-test") {
				lines = append(lines, *e.Message)
			}
		}
		return lines
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(buildServer(t), "ship-logs", "--state", state, file)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }), w.env...)
		cmd.Env = append(cmd.Env, "PATH="+write.bin+":"+os.Getenv("PATH"))
		cmd.Stderr = &lockedBuffer{}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}

	write.entry("4", "ship-logs-test 1")
	write.entry("6", "ship-logs-test of no interest")
	first := start()
	time.Sleep(time.Second) // there is no group yet
	if _, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(group)}); err != nil {
		t.Fatal(err)
	}
	soon(t, "the first entry arrives", func() bool { return len(shipped()) == 1 })
	write.entry("3", "ship-logs-test 2")
	soon(t, "the journal has it", func() bool { return write.holds("ship-logs-test 2") })
	time.Sleep(500 * time.Millisecond) // for the process to read it
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, first.Stderr)
	}
	write.entry("2", "ship-logs-test 3")
	start()
	soon(t, "what was written meanwhile arrives", func() bool { return len(shipped()) >= 3 })
	var numbers []string
	for n, line := range shipped() {
		numbers = append(numbers, line)
		if n < 3 && !strings.Contains(line, fmt.Sprintf(`"msg":"ship-logs-test %d"`, n+1)) {
			t.Errorf("line %d is %s", n, line)
		}
	}
	if len(numbers) != 3 || !strings.Contains(numbers[0], `"level":"WARN"`) || !strings.Contains(numbers[2], `"level":"ERROR"`) {
		t.Errorf("shipped %q", numbers)
	}
}

// journald is a real one with a journal of its own.
type journald struct {
	*testing.T
	bin    string // with a journalctl that reads it
	folder string
	socket string
}

func startJournal(t *testing.T) journald {
	t.Helper()
	const daemon = "/usr/lib/systemd/systemd-journald"
	if _, err := os.Stat(daemon); err != nil || os.Getuid() != 0 {
		t.Skip("NOT TESTED: this needs systemd-journald, and root to start it")
	}
	journalctl, err := exec.LookPath("journalctl")
	if err != nil {
		t.Skip("NOT TESTED: journalctl is not on the PATH")
	}
	j := journald{T: t, folder: t.TempDir(), bin: t.TempDir()}
	j.socket = filepath.Join(j.folder, "systemd", "journal", "socket")
	// It sees this folder as /run, and nobody else does.
	cmd := exec.Command("unshare", "--mount", "sh", "-c", `mount --bind "$0" /run && mkdir -p /run/systemd/journal /run/log/journal/$(cat /etc/machine-id) && exec `+daemon, j.folder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	script := fmt.Sprintf("#!/bin/sh\nexec %s --directory=%s/log/journal \"$@\"\n", journalctl, j.folder)
	if err := os.WriteFile(filepath.Join(j.bin, "journalctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(j.socket); err == nil {
			return j
		}
		if time.Now().After(deadline) {
			t.Skip("NOT TESTED: systemd-journald does not start in a mount namespace here")
		}
	}
}

// entry writes one by the native protocol of the journal.
func (j journald) entry(priority, message string) {
	j.Helper()
	conn, err := net.Dial("unixgram", j.socket)
	if err != nil {
		j.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "PRIORITY=%s\nMESSAGE=%s\n", priority, message); err != nil {
		j.Error(err)
	}
}

func (j journald) holds(message string) bool {
	out, _ := exec.Command(filepath.Join(j.bin, "journalctl"), "--output=cat").Output()
	return strings.Contains(string(out), message)
}

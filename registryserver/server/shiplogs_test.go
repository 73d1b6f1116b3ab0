package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/awshost"
	"github.com/registrykit/terraform-provider-registry/registryserver/journal"
)

func TestShippedEntries(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		entry journal.Entry
		want  string
	}{
		{journal.Entry{Unit: registryUnit, Priority: 6, Message: `{"level":"ERROR"}` + "\n"}, `{"level":"ERROR"}`},
		{journal.Entry{Unit: registryUnit, Priority: 6, Message: "{no JSON", Time: at}, `{"time":"2026-01-02T03:04:05Z","level":"INFO","unit":"registry.service","msg":"{no JSON"}`},
		{journal.Entry{Unit: "x.service", Priority: 4, Message: `{"level":"ERROR"}`, Time: at}, `{"time":"2026-01-02T03:04:05Z","level":"WARN","unit":"x.service","msg":"{\"level\":\"ERROR\"}"}`},
		{journal.Entry{Unit: "x.service", Priority: 5, Message: "notice"}, ""},
		{journal.Entry{Unit: registryUnit, Message: "\n"}, ""},
	} {
		if got := shipped(c.entry); got != c.want {
			t.Errorf("%+v is shipped as %s", c.entry, got)
		}
	}
	long := shipped(journal.Entry{Priority: 0, Message: strings.Repeat("\x01", 1<<20)})
	if len(long) > awshost.MaxLogMessage || !json.Valid([]byte(long)) {
		t.Errorf("a long entry has %d bytes", len(long))
	}
}

func TestLogBatches(t *testing.T) {
	entry := func(at time.Time, size int) journal.Entry {
		return journal.Entry{Time: at, Cursor: at.String(), Message: strings.Repeat("x", size)}
	}
	var b batch
	now := time.Now()
	for b.add(entry(now, 20000)) {
	}
	if b.size > awshost.MaxLogBytes || b.size < awshost.MaxLogBytes-21000 || len(b.events) == 0 {
		t.Errorf("a batch of %d events has %d bytes", len(b.events), b.size)
	}
	b = batch{}
	if !b.add(entry(now, 1)) || b.add(entry(now.Add(25*time.Hour), 1)) || b.add(entry(now.Add(-25*time.Hour), 1)) || !b.add(entry(now.Add(-time.Hour), 1)) {
		t.Error("a batch spans a day at most")
	}
	b = batch{}
	for b.add(entry(now, 1)) {
	}
	if len(b.events) != awshost.MaxLogEvents && b.size < awshost.MaxLogBytes-200 {
		t.Errorf("a batch has %d events", len(b.events))
	}
}

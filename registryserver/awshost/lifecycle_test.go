package awshost

import (
	"testing"
	"time"
)

func FuzzNotice(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for notice, left := range map[string]time.Duration{
		`{"action": "terminate", "time": "2026-01-02T03:06:00Z"}`: 115 * time.Second,
		`{"action": "terminate"}`:                                 noticeTime,
		`{"action": "stop", "time": "2026-01-02T03:00:00Z"}`:      noticeTime,
		`{"action": "stop", "time": "2027-01-02T03:00:00Z"}`:      noticeTime,
		"": noticeTime,
	} {
		if d := parseNotice(notice, now); d.Reason == "" || d.At.Sub(now) != left {
			f.Errorf("%s leaves %s", notice, d.At.Sub(now))
		}
		f.Add(notice)
	}
	f.Fuzz(func(t *testing.T, notice string) {
		if left := parseNotice(notice, now).At.Sub(now); left <= 0 || left > 3*time.Minute {
			t.Errorf("%q leaves %s", notice, left)
		}
	})
}

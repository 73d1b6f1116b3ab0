package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const (
	mostReports    = 3              // that an error shows
	reportsFresh   = 24 * time.Hour // older ones say nothing about a server that should run now
	maxReportSize  = 16 << 10       // of which anything is read
	maxReasonShown = 2000
	maxReportPages = 5 // of 1000 keys each
	// launchesKey is, below the prefix, the record of whether launches go on.
	launchesKey = "launches"
)

// bootReport is one line that an instance has left.
type bootReport struct {
	at     time.Time
	id     string // of the instance, or launchesKey
	reason string
}

// bootHistory is what instances have left, in no order.
type bootHistory struct {
	reports []bootReport
	stop    *bootReport // launches were stopped and have not succeeded since
}

// notStarted stands in a report between the instance and the reason,
// launchesStopped in the record of launches.
const (
	notStarted      = " did not start: "
	launchesStopped = " stopped launches: "
)

// parseBootReport parses a report; ok is false for text of another form.
func parseBootReport(text string) (r bootReport, ok bool) {
	head, reason, found := strings.Cut(text, notStarted)
	if !found {
		return bootReport{}, false
	}
	return parseBootHead(head, reason)
}

func parseBootHead(head, reason string) (bootReport, bool) {
	stamp, id, found := strings.Cut(head, " ")
	at, err := time.Parse(time.RFC3339, stamp)
	if !found || err != nil || id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bootReport{}, false
	}
	return bootReport{at, id, readable(reason)}, true
}

// readable is text of an instance as a terminal may show it: bounded, and
// without control characters.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r != utf8.RuneError && unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, " "))
	s = strings.TrimSpace(s)
	if len(s) > maxReasonShown {
		s = strings.ToValidUTF8(s[:maxReasonShown], "") + "…"
	}
	return s
}

// readBucket adds the newest reports of a bucket. What could not be read comes
// back as sentences.
func (h *bootHistory) readBucket(ctx context.Context, api *s3.Client, bucket, prefix string) []string {
	objects, err := listReports(ctx, api, bucket, prefix)
	if err != nil {
		return []string{unreadableReports("s3://"+bucket+"/"+prefix, err)}
	}
	shown := 0
	for _, o := range objects {
		name := strings.TrimPrefix(aws.ToString(o.Key), prefix)
		if name != launchesKey && shown == mostReports {
			continue
		}
		text, err := readReport(ctx, api, bucket, aws.ToString(o.Key))
		switch {
		case awsCode(err) == "NoSuchKey": // its server has started since
			continue
		case err != nil:
			return []string{unreadableReports("s3://"+bucket+"/"+aws.ToString(o.Key), err)}
		}
		if name == launchesKey {
			h.addLaunches(text)
			continue
		}
		shown++
		r, ok := parseBootReport(text)
		if !ok {
			r = bootReport{aws.ToTime(o.LastModified), name, readable(text)}
		}
		h.reports = append(h.reports, r)
	}
	return nil
}

// listReports returns the objects below the prefix, the newest first.
func listReports(ctx context.Context, api *s3.Client, bucket, prefix string) ([]s3types.Object, error) {
	var all []s3types.Object
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for n := 0; pages.HasMorePages() && n < maxReportPages; n++ {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, needs("s3:ListBucket", err)
		}
		all = append(all, page.Contents...)
	}
	slices.SortStableFunc(all, func(a, b s3types.Object) int {
		return aws.ToTime(b.LastModified).Compare(aws.ToTime(a.LastModified))
	})
	return all, nil
}

func readReport(ctx context.Context, api *s3.Client, bucket, key string) (string, error) {
	out, err := api.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return "", needs("s3:GetObject", err)
	}
	defer out.Body.Close()
	content, err := io.ReadAll(io.LimitReader(out.Body, maxReportSize))
	return string(content), err
}

// addLaunches reads the record of launches: a stop counts until it succeeds.
func (h *bootHistory) addLaunches(text string) {
	head, reason, found := strings.Cut(text, launchesStopped)
	if !found {
		return
	}
	if stop, ok := parseBootHead(head, reason); ok {
		h.stop = &stop
	}
}

// readParameter adds the report of a parameter, which is there from the
// beginning and holds none then.
func (h *bootHistory) readParameter(ctx context.Context, api *ssm.Client, name string) []string {
	out, err := api.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if _, missing := errors.AsType[*ssmtypes.ParameterNotFound](err); missing {
		return nil
	}
	if err != nil {
		return []string{unreadableReports("the parameter "+name, needs("ssm:GetParameter", err))}
	}
	if r, ok := parseBootReport(aws.ToString(out.Parameter.Value)); ok {
		h.reports = append(h.reports, r)
	}
	return nil
}

func unreadableReports(where string, err error) string {
	why := awsAdvice(err)
	if why == "" {
		why = sentence(err)
	}
	return fmt.Sprintf("Reports of instances that did not start could not be read from %s. %s", where, why)
}

// diagnosis is what the history says at a time about a server that a run uses
// since another one.
func (h *bootHistory) diagnosis(now, since time.Time, places string, problems []string) client.Diagnosis {
	h.reports = slices.DeleteFunc(h.reports, func(r bootReport) bool { return now.Sub(r.at) > reportsFresh })
	slices.SortStableFunc(h.reports, func(a, b bootReport) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.id, b.id)) })
	h.reports = slices.CompactFunc(h.reports, func(a, b bootReport) bool { return a.id == b.id })
	var text strings.Builder
	switch {
	case len(h.reports) > 0:
		fmt.Fprintf(&text, "Instances that did not start have said why (%s):\n", places)
		for _, r := range h.reports[:min(len(h.reports), mostReports)] {
			fmt.Fprintf(&text, "\n- %s, %s: %s\n", r.id, age(now.Sub(r.at)), strings.ReplaceAll(r.reason, "\n", "\n  "))
		}
	case len(problems) == 0:
		fmt.Fprintf(&text, "No instance has reported within a day that it did not start (%s).\n", places)
	}
	for _, p := range problems {
		fmt.Fprintf(&text, "\n%s\n", p)
	}
	if h.stop != nil {
		fmt.Fprintf(&text, "\nThe Auto Scaling group launches no more instances; it was told so %s: %s\n", age(now.Sub(h.stop.at)), h.stop.reason)
	}
	return client.Diagnosis{Reason: strings.TrimSpace(text.String()), Hopeless: h.stop != nil && h.stop.at.After(since)}
}

// age is a time span in words.
func age(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int(d / unit.length); {
		case n == 1:
			return "1 " + unit.name + " ago"
		case n > 1:
			return fmt.Sprintf("%d %ss ago", n, unit.name)
		}
	}
	return "less than a minute ago"
}

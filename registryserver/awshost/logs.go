package awshost

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// The bounds of one call of PutLogEvents, which CloudWatch Logs documents.
const (
	MaxLogBytes   = 1 << 20        // of all events, each with LogOverhead
	MaxLogEvents  = 10000          //
	MaxLogSpan    = 23 * time.Hour // between first and last event; 24 are allowed
	MaxLogMessage = 256<<10 - 26   // of one event
	LogOverhead   = 26             // that each event counts besides its message
)

// LogEvent is a line of a log.
type LogEvent struct {
	Time    time.Time
	Message string // not empty
}

// PutLogs adds events, in the order of time and within the bounds above, to a
// stream of a log group, and makes the stream if there is none. What CloudWatch
// Logs will never take is left out: dropped says how many events of these.
func (h *Host) PutLogs(ctx context.Context, group, stream string, events []LogEvent) (dropped int, err error) {
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream}
	for _, e := range events {
		in.LogEvents = append(in.LogEvents, types.InputLogEvent{Timestamp: aws.Int64(e.Time.UnixMilli()), Message: aws.String(e.Message)})
	}
	out, err := h.logs.PutLogEvents(ctx, in)
	if code(err) == "ResourceNotFoundException" {
		_, err = h.logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
		if err == nil || code(err) == "ResourceAlreadyExistsException" {
			out, err = h.logs.PutLogEvents(ctx, in)
		}
	}
	switch code(err) {
	case "InvalidParameterException":
		h.log.WarnContext(ctx, "CloudWatch Logs does not take these events", "error", err)
		return len(events), nil
	case "ResourceNotFoundException":
		return 0, fmt.Errorf("there is no log group %s in this region: %w", group, err)
	case "AccessDeniedException":
		return 0, fmt.Errorf("the role of this machine may not write to the log group %s: allow it logs:CreateLogStream and logs:PutLogEvents: %w", group, err)
	}
	if err != nil {
		return 0, fmt.Errorf("put events into the log group %s: %w", group, err)
	}
	return rejected(out.RejectedLogEventsInfo, len(events)), nil
}

// rejected counts the events that were too old or too new.
func rejected(info *types.RejectedLogEventsInfo, all int) int {
	if info == nil {
		return 0
	}
	n := max(int(aws.ToInt32(info.TooOldLogEventEndIndex)), int(aws.ToInt32(info.ExpiredLogEventEndIndex)))
	if info.TooNewLogEventStartIndex != nil {
		n += all - int(*info.TooNewLogEventStartIndex)
	}
	return n
}

package server

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"sort"
)

// NewLogger returns the log that the configuration asks for. The formatter
// logstash names the time, level and message as distribution's does.
func NewLogger(w io.Writer, c LogConfig) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level, AddSource: c.ReportCaller}
	var h slog.Handler
	switch c.Formatter {
	case "json":
		h = slog.NewJSONHandler(w, options)
	case "logstash":
		options.ReplaceAttr = logstashNames
		h = slog.NewJSONHandler(w, options).WithAttrs([]slog.Attr{slog.String("@version", "1")})
	default:
		h = slog.NewTextHandler(w, options)
	}
	names := make([]string, 0, len(c.Fields))
	for name := range c.Fields {
		names = append(names, name)
	}
	sort.Strings(names)
	var fields []slog.Attr
	for _, name := range names {
		fields = append(fields, slog.String(name, fmt.Sprint(c.Fields[name])))
	}
	return slog.New(h.WithAttrs(fields))
}

func logstashNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		a.Key = "@timestamp"
	case slog.MessageKey:
		a.Key = "message"
	}
	return a
}

// newStdLog passes what net/http logs on: mostly clients that do not speak
// TLS, or break off. It is not worth more than a debug line.
func newStdLog(l *slog.Logger) *log.Logger {
	return slog.NewLogLogger(l.Handler(), slog.LevelDebug)
}

package ociapi

import (
	"strconv"
	"strings"
)

// unsatisfiable reports whether http.ServeContent would refuse a Range header
// for content of the size, so that the refusal can be written in the spec's
// form.
func unsatisfiable(header string, size int64) bool {
	spec := strings.TrimPrefix(header, "bytes=")
	overlaps, ranges := false, 0
	for part := range strings.SplitSeq(spec, ",") {
		part = textTrim(part)
		if part == "" {
			continue
		}
		valid, overlap := oneRange(part, size)
		if !valid {
			return true
		}
		ranges++
		overlaps = overlaps || overlap
	}
	return ranges > 0 && !overlaps && size > 0
}

// oneRange parses "a-b", "a-" or "-n".
func oneRange(part string, size int64) (valid, overlaps bool) {
	first, last, ok := strings.Cut(part, "-")
	if !ok {
		return false, false
	}
	first, last = textTrim(first), textTrim(last)
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if last == "" || last[0] == '-' || err != nil || n < 0 {
			return false, false
		}
		return true, n > 0 || size == 0
	}
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil || start < 0 {
		return false, false
	}
	if start >= size {
		return true, false
	}
	if last == "" {
		return true, true
	}
	end, err := strconv.ParseInt(last, 10, 64)
	if err != nil || end < start {
		return false, false
	}
	return true, true
}

func textTrim(s string) string { return strings.Trim(s, " \t\n\r") }

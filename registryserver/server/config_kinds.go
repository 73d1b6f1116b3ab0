package server

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// asText is text as it is written.
func asText(to *string) scalar[string] {
	return scalar[string]{to: to, tag: "!!str", want: "text", parse: anyText, format: strings.Clone}
}

func anyText(s string) (string, bool) { return s, true }

// asSecret is text that is never shown.
func asSecret(to *Secret) scalar[Secret] {
	return scalar[Secret]{
		to: to, tag: "!!str", want: "text",
		parse:  func(s string) (Secret, bool) { return Secret(s), true },
		format: Secret.String,
	}
}

func asList[T any](to *[]T, elem scalar[T]) listValue[T] {
	return listValue[T]{to: to, elem: elem}
}

func asTexts(to *[]string) listValue[string] { return asList(to, asText(nil)) }

// asBool is true or false in every spelling of YAML 1.1, which distribution reads.
func asBool(to *bool) scalar[bool] {
	return scalar[bool]{to: to, tag: "!!bool", want: "true or false", parse: parseBool, format: strconv.FormatBool}
}

func parseBool(s string) (bool, bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "y":
		return true, true
	case "false", "no", "off", "n":
		return false, true
	}
	return false, false
}

// asOptionalBool is asBool that can tell false from unset.
func asOptionalBool(to **bool) scalar[*bool] {
	return scalar[*bool]{
		to: to, tag: "!!bool", want: "true or false",
		parse: func(s string) (*bool, bool) {
			v, ok := parseBool(s)
			return &v, ok
		},
		format: func(v *bool) string {
			if v == nil {
				return ""
			}
			return strconv.FormatBool(*v)
		},
	}
}

// asInt is a whole number of at least low.
func asInt(to *int, low int) scalar[int] {
	want := "a whole number"
	if low > math.MinInt {
		want += fmt.Sprintf(", at least %d", low)
	}
	return scalar[int]{
		to: to, tag: "!!int", want: want,
		parse: func(s string) (int, bool) {
			v, err := strconv.ParseInt(s, 0, strconv.IntSize)
			return int(v), err == nil && v >= int64(low)
		},
		format: strconv.Itoa,
	}
}

// asDuration is a length of time. distribution also takes whole numbers, as
// nanoseconds; where that is what is written it is what is meant.
func asDuration(to *time.Duration) scalar[time.Duration] {
	return scalar[time.Duration]{
		to: to, tag: "!!str", want: "a duration with a unit, such as 30s, 5m or 168h",
		parse: func(s string) (time.Duration, bool) {
			d, err := time.ParseDuration(s)
			if ns, e := strconv.ParseInt(s, 10, 64); e == nil && ns >= int64(time.Millisecond) {
				d, err = time.Duration(ns), nil
			}
			return d, err == nil && d >= 0
		},
		format: formatDuration,
	}
}

// formatDuration is Duration.String without the zeros at the end: 168h, not 168h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// named is one of the values that a choice by name allows.
type named[T comparable] struct {
	name  string
	value T
}

// asOneOf is one of some names, in any case, as distribution reads log levels.
func asOneOf[T comparable](to *T, allowed []named[T]) scalar[T] {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = a.name
	}
	return scalar[T]{
		to: to, tag: "!!str", want: orList(names),
		parse: func(s string) (v T, ok bool) {
			for _, a := range allowed {
				if strings.EqualFold(a.name, s) {
					return a.value, true
				}
			}
			return v, false
		},
		format: func(v T) string {
			for _, a := range allowed {
				if a.value == v {
					return a.name
				}
			}
			return ""
		},
	}
}

// namesOf are names that stand for themselves.
func namesOf(names ...string) []named[string] {
	var all []named[string]
	for _, n := range names {
		all = append(all, named[string]{n, n})
	}
	return all
}

// orList joins names for a sentence: a, b or c.
func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// asRegexp is a regular expression.
func asRegexp() scalar[*regexp.Regexp] {
	return scalar[*regexp.Regexp]{
		tag: "!!str", want: "a regular expression (https://golang.org/s/re2syntax)",
		parse: func(s string) (*regexp.Regexp, bool) {
			re, err := regexp.Compile(s)
			return re, err == nil
		},
		format: (*regexp.Regexp).String,
	}
}

// asNetwork is a network of addresses, or one address.
func asNetwork() scalar[netip.Prefix] {
	return scalar[netip.Prefix]{
		tag: "!!str", want: "a network or an address, such as 10.0.0.0/8 or 192.0.2.1",
		parse: func(s string) (netip.Prefix, bool) {
			if addr, err := netip.ParseAddr(s); err == nil {
				return netip.PrefixFrom(addr, addr.BitLen()), true
			}
			p, err := netip.ParsePrefix(s)
			return p.Masked(), err == nil
		},
		format: netip.Prefix.String,
	}
}

// asHost is the public URL of the registry. A user name in it would end up in
// every Location, so it is refused.
func asHost(to **url.URL) scalar[*url.URL] {
	return scalar[*url.URL]{
		to: to, tag: "!!str", want: "a URL of scheme and host without user name, such as https://registry.example.com",
		parse: func(s string) (*url.URL, bool) {
			u, err := url.Parse(s)
			if s == "" || err != nil {
				return nil, s == ""
			}
			return u, u.User == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
		},
		format: func(u *url.URL) string {
			if u == nil {
				return ""
			}
			return u.String()
		},
	}
}

// asPrefix is the path in front of /v2/; slashes at its ends are added where
// distribution gets along without them.
func asPrefix(to *string) scalar[string] {
	return scalar[string]{
		to: to, tag: "!!str", want: "a path such as /registry/",
		parse: func(s string) (string, bool) {
			if strings.Trim(s, "/") == "" {
				return "", true
			}
			ok := strings.HasPrefix(s, "/") && !strings.ContainsAny(s, "?#%\\") && path.Clean(s) == strings.TrimSuffix(s, "/")
			return strings.TrimSuffix(s, "/") + "/", ok
		},
		format: strings.Clone,
	}
}

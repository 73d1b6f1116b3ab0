package journal

import (
	"bufio"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const cursor = "s=05574bf3a6ed4396ad1ee35a3993c441;i=1;b=ff1d88d38ccc4909b2972f11d4a29323;m=7953f6476;t=66108bd6eaa6f;x=534e5170d6748143"

func line(fields string) string {
	return `{"__CURSOR":"` + cursor + `","__REALTIME_TIMESTAMP":"1795540026042991"` + fields + `}`
}

func TestParse(t *testing.T) {
	at := time.UnixMicro(1795540026042991)
	for in, want := range map[string]Entry{
		line(`,"MESSAGE":"hello","PRIORITY":"3","_SYSTEMD_UNIT":"registry.service"`):                  {cursor, at, "registry.service", 3, "hello"},
		line(`,"MESSAGE":[97,10,255],"PRIORITY":"9"`):                                                 {cursor, at, "", 6, "a\n\uFFFD"},
		line(`,"MESSAGE":["first","second"],"_SYSTEMD_UNIT":"init.scope","UNIT":"registry.service"`):  {cursor, at, "registry.service", 6, "first"},
		line(`,"MESSAGE":[[98,99],"second"],"_SYSTEMD_UNIT":"other.service","UNIT":"forged.service"`): {cursor, at, "other.service", 6, "bc"},
		line(`,"MESSAGE":null`): {cursor, at, "", 6, ""},
	} {
		if got, err := Parse([]byte(in)); err != nil || got != want {
			t.Errorf("%s\ngives %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "{}", "[]", line(`,"MESSAGE":1`), line(`,"MESSAGE":[256]`), line(`,"MESSAGE":[[[1]]]`), `{"__CURSOR":"--help","__REALTIME_TIMESTAMP":"1"}`, `{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"-1"}`} {
		if got, err := Parse([]byte(in)); err == nil {
			t.Errorf("%s\ngives %+v", in, got)
		}
	}
}

// An entry that is too long is left out, and the next one is not.
func TestLongLine(t *testing.T) {
	long := line(`,"MESSAGE":"` + strings.Repeat("x", 2*maxLine) + `"`)
	in := line(`,"MESSAGE":"before"`) + "\n" + long + "\nnonsense\n" + line(`,"MESSAGE":"`+strings.Repeat("y", maxLine/2)+`"`) + "\n" + line(`,"MESSAGE":"after"`)
	entries := make(chan Entry, 10)
	if err := read(t.Context(), bufio.NewReader(strings.NewReader(in)), entries); err == nil {
		t.Error("the end is no error")
	}
	close(entries)
	var lengths []int
	for e := range entries {
		lengths = append(lengths, len(e.Message))
	}
	if len(lengths) != 3 || lengths[0] != 6 || lengths[1] != maxLine/2 || lengths[2] != 5 {
		t.Errorf("messages of %v bytes", lengths)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{line(`,"MESSAGE":"hello","PRIORITY":"3"`), line(`,"MESSAGE":[97,10,255]`), line(`,"MESSAGE":[[98],"x",null]`), line(`,"MESSAGE":[[]]`), "{}", "null"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Parse(in)
		if err == nil && (!ValidCursor(e.Cursor) || !utf8.ValidString(e.Message) || e.Priority < 0 || e.Priority > 7 || e.Time.IsZero()) {
			t.Errorf("%q gives %+v", in, e)
		}
	})
}

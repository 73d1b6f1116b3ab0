// Command gotest runs `go test` and prints what a reader needs: the result line of every package, the whole output of what failed,
// and then, which `go test` keeps to itself, every test that was skipped with its reason and every figure that a test reported (t.Attr).
//
//	go run .ci/gotest.go -race ./...
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output, Key, Value string
}

// report gathers the output of tests until it is known whether anyone wants to read it.
type report struct {
	output  map[string]string // of a test, or of a package outside its tests
	skipped []string
	figures []string
}

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r := report{output: map[string]string{}}
	readErr := r.read(stdout)
	err = cmd.Wait()
	r.summary()
	if readErr != nil || err != nil {
		fmt.Println("go test failed:", firstOf(err, readErr))
		os.Exit(1)
	}
}

func (r *report) read(stdout io.Reader) error {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			r.add(e)
		} else {
			fmt.Print(line)
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		switch {
		case e.Test != "":
			r.output[name] += e.Output
		case isResult(e.Output):
			fmt.Print(e.Output)
		default:
			r.output[name] += e.Output
		}
	case "attr":
		r.figures = append(r.figures, fmt.Sprintf("%s: %s: %s", e.Test, e.Key, e.Value))
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, e.Test+": "+reason(r.output[name]))
		}
	case "fail":
		fmt.Print(r.output[name])
		if e.Test == "" {
			r.unfinished(e.Package)
		}
	}
	if e.Test != "" && slices.Contains([]string{"pass", "skip", "fail"}, e.Action) {
		delete(r.output, name)
	}
}

// unfinished prints the tests that a package was in when it crashed or ran out of time: they have no end of their own.
func (r *report) unfinished(pkg string) {
	for name, output := range r.output {
		if strings.HasPrefix(name, pkg+" ") && name != pkg+" " {
			fmt.Print(output)
			delete(r.output, name)
		}
	}
}

// isResult reports whether a package's line is its result, such as "ok  	example.com/oci	0.2s".
func isResult(line string) bool {
	return slices.ContainsFunc([]string{"ok  \t", "FAIL\t", "?   \t", "\t"}, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
}

// reason takes what a skipped test printed and leaves out what the testing package added.
func reason(output string) string {
	var kept []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, " ")
}

func (r *report) summary() {
	for _, figure := range r.figures {
		fmt.Println("RESULT ", figure)
	}
	for _, test := range r.skipped {
		fmt.Println("SKIPPED", test)
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

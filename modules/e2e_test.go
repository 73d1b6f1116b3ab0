package modules

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

const domain = "registry.example.com"

// stack is a root module that is applied, planned again, changed and destroyed, in an account of its own.
type stack struct {
	root      string
	short     bool // also part of a short run
	variables func(a *account) map[string]any
	change    func(a *account, w *awstest.Workspace)
	changes   []string // what the change's plan says, sorted
	changed   func(a *account, w *awstest.Workspace)
	images    string   // a bucket that keeps images from a destroy
	keeps     []string // kinds of what a destroy leaves on purpose
}

// account is what a stack finds.
type account struct {
	*testing.T
	*awstest.Emulator
	zone   string
	images map[string]string // AMIs by name and architecture
	server *awstest.Server
}

// atOnce is how many stacks are up at a time: they wait for AWS more than they compute, so it is not a matter of processors, as -parallel is.
const atOnce = 6

const long = "SKIPPED in a short run: make e2e-aws"

// TestAWS applies the modules and the examples to an emulated AWS, with the real provider of AWS, ours, and a real server.
func TestAWS(t *testing.T) {
	t.Parallel()
	tf := awstest.NewTerraform(t)
	awstest.Start(t, awstest.Options{}) // or else everything here is skipped, by name
	server := tf.BuildServer(t)
	runs := map[string]func(t *testing.T){}
	for _, s := range stacks() {
		runs[filepath.Base(filepath.Dir(s.root))+"/"+filepath.Base(s.root)] = func(t *testing.T) {
			if testing.Short() && !s.short {
				t.Skip(long)
			}
			s.run(t, tf, server)
		}
	}
	for _, m := range mistakes() {
		runs["mistake/"+m.name] = func(t *testing.T) {
			if testing.Short() {
				t.Skip(long)
			}
			m.run(t, tf)
		}
	}
	var group sync.WaitGroup
	places := make(chan bool, atOnce)
	for name, run := range runs {
		group.Go(func() {
			places <- true
			defer func() { <-places }()
			t.Run(name, run)
		})
	}
	group.Wait()
}

func (s stack) run(t *testing.T, tf *awstest.Terraform, server string) {
	a := &account{T: t, Emulator: awstest.Start(t, awstest.Options{}), images: map[string]string{}}
	a.zone = a.HostedZone(t, "example.com")
	for _, image := range []string{"v1/arm64", "v2/arm64", "v1/x86_64", "v2/x86_64"} {
		a.images[image] = a.AMI(t, strings.ReplaceAll(image, "/", "-"), filepath.Base(image))
	}
	a.Keep(t)
	site := awstest.NewSite(t)
	a.server = site.ServeInstances(domain, server, a.Emulator)
	site.ServeImages("index.docker.io", server, pushHelloWorld)

	w := tf.Workspace(t, s.root, a.Emulator)
	w.Env = append(w.Env, site.Env()...)
	if s.variables != nil {
		w.Variables(s.variables(a))
	}
	timing := &timing{t: t, last: time.Now()}
	resources := w.Apply()
	timing.done("apply of %d resources", resources)
	mustBeEmpty(w, "the second plan")
	timing.done("second plan: empty")
	if s.change != nil {
		s.change(a, w)
		changes, said := w.Plan()
		if got := texts(changes); !slices.Equal(got, s.changes) {
			t.Errorf("the change would do\n\t%s\nwant\n\t%s\n%s", strings.Join(got, "\n\t"), strings.Join(s.changes, "\n\t"), said)
		}
		timing.done("plan of a change: %d", len(changes))
		w.Apply()
		timing.done("apply of the change")
		if s.changed != nil {
			s.changed(a, w)
		}
		mustBeEmpty(w, "the plan after the change")
		timing.done("plan after it: empty")
	}
	if s.images != "" {
		s.keepsImages(a, w)
		timing.done("destroy: stopped at the bucket with images")
	}
	w.Destroy()
	timing.done("destroy")
	t.Attr("resources", fmt.Sprintf("%d: %s", resources, strings.Join(timing.said, "; ")))
	for _, left := range a.Left(t) {
		if !slices.ContainsFunc(s.keeps, func(kind string) bool { return strings.HasPrefix(left, kind+" ") }) {
			t.Errorf("left: %s", left)
		}
	}
	if refused := site.Refused(); len(refused) > 0 {
		t.Errorf("somebody wanted to reach %v", refused)
	}
	t.Logf("%d calls of AWS", len(a.Calls(t)))
}

// keepsImages expects that a destroy stops at the bucket while it has images, and then empties it as its owner would.
func (s stack) keepsImages(a *account, w *awstest.Workspace) {
	a.Helper()
	said, err := w.Run(10*time.Minute, "destroy", "-input=false", "-auto-approve")
	if err == nil || !strings.Contains(said, "BucketNotEmpty") {
		a.Fatalf("the destroy of a registry with images ends with %v, want BucketNotEmpty\n%s", err, said)
	}
	a.server.Stop()
	if err := a.EmptyBucket(a.Context(), s.images); err != nil {
		a.Fatal(err)
	}
}

func mustBeEmpty(w *awstest.Workspace, which string) {
	w.Helper()
	if changes, said := w.Plan(); len(changes) > 0 {
		w.Errorf("%s is not empty: %s\n%s", which, strings.Join(texts(changes), ", "), said)
	}
}

func texts(changes []awstest.Change) []string {
	var texts []string
	for _, c := range changes {
		texts = append(texts, c.String())
	}
	slices.Sort(texts)
	return texts
}

// timing reports how long each step takes.
type timing struct {
	t    *testing.T
	last time.Time
	said []string
}

func (t *timing) done(format string, args ...any) {
	step := fmt.Sprintf("%.0f s %s", time.Since(t.last).Seconds(), fmt.Sprintf(format, args...))
	t.t.Log(step)
	t.said = append(t.said, step)
	t.last = time.Now()
}

// pushHelloWorld gives a registry the image that the examples begin with.
func pushHelloWorld(address string) error {
	image, err := random.Image(10_000, 1)
	if err != nil {
		return err
	}
	ref, err := name.ParseReference(address+"/library/hello-world:latest", name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(ref, image)
}

// replace edits a file of the example, as its user would.
func replace(w *awstest.Workspace, file, from, to string) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, file))
	if err != nil {
		w.Fatal(err)
	}
	if strings.Count(string(text), from) != 1 {
		w.Fatalf("%s has %q %d times", file, from, strings.Count(string(text), from))
	}
	w.Write(file, strings.Replace(string(text), from, to, 1))
}

// with returns variables with more of them.
func with(variables map[string]any, more map[string]any) map[string]any {
	all := maps.Clone(variables)
	maps.Copy(all, more)
	return all
}

// runOnly expects that all instances were launched from an image, in this number.
func (a *account) runOnly(image string, number int) {
	a.Helper()
	instances, err := a.Launched(context.WithoutCancel(a.Context()))
	if err != nil {
		a.Fatal(err)
	}
	for _, i := range instances {
		if i.Image != a.images[image] {
			a.Errorf("%s runs %s, version %s, want %s", i.ID, i.Image, i.Version, a.images[image])
		}
	}
	if len(instances) != number {
		a.Errorf("%d instances run, want %d", len(instances), number)
	}
}

//go:build linux

package awstest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fleet is the machines of all Auto Scaling groups of an emulated cloud: it starts what the groups launch, tells machines what the group wants of
// them, and ends what the groups have let go. That is what EC2 does; the emulator keeps the books.
type Fleet struct {
	cloud    Cloud
	machines *Machines
	role     Role // of every machine, but for its name

	mu   sync.Mutex
	here map[string]*Machine // nil while it starts
	all  []*Machine
	errs []error
}

// followEvery is how often a fleet looks for changes.
const followEvery = 300 * time.Millisecond

// Follow keeps a fleet until the test ends. All machines have the credentials of role.
func (m *Machines) Follow(t testing.TB, cloud Cloud, role Role) *Fleet {
	t.Helper()
	f := &Fleet{cloud: cloud, machines: m, role: role, here: map[string]*Machine{}}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if err := f.follow(ctx, &done); err != nil && ctx.Err() == nil {
				f.failed(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(followEvery):
			}
		}
	})
	t.Cleanup(func() {
		stop()
		done.Wait()
		for _, machine := range f.Machines() {
			if err := machine.Terminate(); err != nil {
				t.Errorf("terminate %s: %v", machine.Instance.ID, err)
			}
		}
		for _, err := range f.errs {
			t.Errorf("the fleet: %v", err)
		}
	})
	return f
}

func (f *Fleet) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

// follow makes machines of what the emulator says.
func (f *Fleet) follow(ctx context.Context, starting *sync.WaitGroup) error {
	members, err := f.cloud.Members(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	gone := maps.Clone(f.here)
	f.mu.Unlock()
	for _, member := range members {
		machine, known := gone[member.ID]
		delete(gone, member.ID)
		switch {
		case !known:
			f.mu.Lock()
			f.here[member.ID] = nil
			f.mu.Unlock()
			starting.Go(func() {
				if err := f.start(ctx, member); err != nil && ctx.Err() == nil {
					f.failed(fmt.Errorf("start %s: %w", member.ID, err))
				}
			})
		case machine == nil:
		case member.State == "InService":
			machine.inService()
		case strings.HasSuffix(member.State, ":Wait") && !machine.Running():
			// EC2 reports it as stopped, and the group lets it go.
			if err := f.cloud.abandon(ctx, member); err != nil {
				return err
			}
		case strings.HasPrefix(member.State, "Terminating"):
			machine.Metadata.Set("autoscaling/target-lifecycle-state", "Terminated")
		}
	}
	for id, machine := range gone {
		if machine != nil {
			f.mu.Lock()
			delete(f.here, id)
			f.mu.Unlock()
			if err := machine.Terminate(); err != nil {
				return err
			}
		}
	}
	return nil
}

// start starts the machine of a group's new instance, from the launch template's version that the group launched it from.
func (f *Fleet) start(ctx context.Context, member Member) error {
	template, err := f.cloud.LaunchTemplate(ctx, member.Template, member.Version)
	if err != nil {
		return err
	}
	if template.HTTPTokens != "required" {
		return fmt.Errorf("the launch template %s leaves version 1 of the metadata service on", member.Template)
	}
	where, err := f.cloud.place(ctx, member.ID)
	if err != nil {
		return err
	}
	role := f.role
	profile := template.ProfileARN[strings.LastIndex(template.ProfileARN, "/")+1:]
	if role.Name, err = f.cloud.profileRole(ctx, profile); err != nil {
		return err
	}
	ip := net.ParseIP(where.Address).To4()
	if ip == nil {
		return fmt.Errorf("the address %q", where.Address)
	}
	machine, err := f.machines.Start(Instance{
		ID: member.ID, ImageID: template.ImageID, Type: member.Type, Zone: where.Zone, Address: where.Address, Group: true, Spot: where.Spot == "spot",
		MAC: fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", ip[0], ip[1], ip[2], ip[3]), UserData: template.UserData, Role: role,
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.here[member.ID] = machine
	f.all = append(f.all, machine)
	return nil
}

// Machines are all that were ever started, in order.
func (f *Fleet) Machines() []*Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Machine(nil), f.all...)
}

// Here are those that are not terminated.
func (f *Fleet) Here() []*Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	var here []*Machine
	for _, m := range f.all {
		if f.here[m.Instance.ID] == m {
			here = append(here, m)
		}
	}
	return here
}

// Address of a machine, or "".
func (f *Fleet) Address(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.here[id]; m != nil {
		return m.Instance.Address
	}
	return ""
}

package storagetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func testListings(t *testing.T, open func(t testing.TB) Store) {
	each(t, open, map[string]func(*testing.T, Store){
		"Order":        testOrder,
		"Children":     testChildren,
		"EmptyFolders": testEmptyFolders,
		"Model":        testAgainstModel,
		"Moving":       testListWhileMoving,
	})
}

func wantList(t testing.TB, r storage.Records, prefix, after string, want ...string) {
	t.Helper()
	got, err := collect(r.List(context.Background(), prefix, after))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List(%q, %q) = %v\n%s\nwant\n%s", prefix, after, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func wantChildren(t testing.TB, r storage.Records, dir, after string, want ...string) {
	t.Helper()
	got, err := collect(r.Children(context.Background(), dir, after))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Children(%q, %q) = %q, %v\nwant %q", dir, after, got, err, want)
	}
}

// testOrder: a walk of folders would visit a, a/b, a-b; byte order has a-b
// before a/b, since '-' and '.' come before '/'.
func testOrder(t *testing.T, s Store) {
	r := s.Records
	wantList(t, r, "", "")
	wantList(t, r, "no/such/folder/", "")
	root := storage.DistributionRoot + "/repositories/"
	keys := []string{
		root + "a-b/_layers/link",
		root + "a.b/_layers/link",
		root + "a/_layers/link",
		root + "a/_manifests/link",
		root + "a/b-c/_layers/link",
		root + "a/b/_layers/link",
		root + "a0/_layers/link",
		root + "aa/_layers/link",
	}
	for _, i := range rand.Perm(len(keys)) {
		put(t, r, keys[i], "value")
	}
	wantList(t, r, "", "", keys...)
	wantList(t, r, storage.DistributionRoot, "", keys...)
	wantList(t, r, root, "", keys...)
	wantList(t, r, root+"a", "", keys...)
	wantList(t, r, root+"a/", "", keys[2:6]...)
	wantList(t, r, root+"a/b", "", keys[4:6]...)
	wantList(t, r, root+"a/b/_layers/link", "", keys[5])
	wantList(t, r, root+"a/b/_layers/link/", "")
	wantList(t, r, root+"a/b/_layers/link2", "")
	wantList(t, r, root+"b", "")
	for i := range keys {
		wantList(t, r, root, keys[i], keys[i+1:]...)
	}
	// after need not exist, and may lie outside the prefix.
	wantList(t, r, root, root+"a-", keys...)
	wantList(t, r, root, root+"a-c", keys[1:]...)
	wantList(t, r, root, root+"a/", keys[2:]...)
	wantList(t, r, root, root+"a/_layers/link/x", keys[3:]...)
	wantList(t, r, root, root+"a/b", keys[4:]...)
	wantList(t, r, root, root+"a/b/", keys[5:]...)
	wantList(t, r, root, root+"a/b/a", keys[6:]...)
	wantList(t, r, root+"a/", root+"a0")
	wantList(t, r, root+"a/", "zzz")
	wantList(t, r, root+"a/", "aaa", keys[2:6]...)

	for key, err := range r.List(context.Background(), "", "") {
		if err != nil || key != keys[0] {
			t.Errorf("the first key is %q, %v", key, err)
		}
		break // a listing can be left
	}

	kit := storage.KitRoot + "/repositories/"
	marks := []string{kit + "a!", kit + "a-b!", kit + "a/b!", kit + "a0!"}
	for _, i := range rand.Perm(len(marks)) {
		put(t, r, marks[i], "")
	}
	wantList(t, r, kit, "", marks...)
	wantList(t, r, kit, kit+"a!", marks[1:]...)
	wantList(t, r, kit, kit+"a/", marks[2:]...)
	wantChildren(t, r, strings.TrimSuffix(kit, "/"), "", "a", "a!", "a-b!", "a0!")
}

// testChildren: names are in their own order, not that of the keys below them:
// v1-alpine/… sorts before v1/…, and the tag v1 before v1-alpine.
func testChildren(t *testing.T, s Store) {
	r := s.Records
	tags := []string{"1", "1.2", "1.2.3", "v1", "v1-alpine", "v1.0", "v10"}
	if !s.FoldsCase {
		tags = append([]string{"1", "1.2", "1.2.3", "V1"}, tags[3:]...)
	}
	dir := inRepositories("a/_manifests/tags")
	wantChildren(t, r, dir, "")
	for _, i := range rand.Perm(len(tags)) {
		put(t, r, dir+"/"+tags[i]+"/current/link", "value")
		put(t, r, dir+"/"+tags[i]+"/index/sha256/00/link", "value")
	}
	put(t, r, inRepositories("a/_manifests/tagsfile"), "value")
	wantChildren(t, r, dir, "", tags...)
	for i := range tags {
		wantChildren(t, r, dir, tags[i], tags[i+1:]...)
	}
	wantChildren(t, r, dir, "0", tags...)
	wantChildren(t, r, dir, "v1,", tags[len(tags)-3:]...)
	wantChildren(t, r, dir, "v1/", tags[len(tags)-1:]...)
	wantChildren(t, r, dir, "v2")
	wantChildren(t, r, inRepositories("a"), "", "_manifests")
	wantChildren(t, r, inRepositories("a/_manifests"), "", "tags", "tagsfile")
	wantChildren(t, r, dir+"/v1/current", "", "link")
	wantChildren(t, r, dir+"/v1/current/link", "") // a record has no children
	wantChildren(t, r, dir+"/v", "")
	wantChildren(t, r, "", "", "docker")
	for name, err := range r.Children(context.Background(), dir, "") {
		if err != nil || name != tags[0] {
			t.Errorf("the first child is %q, %v", name, err)
		}
		break
	}
}

// testEmptyFolders: a folder is its records; without them it never was.
func testEmptyFolders(t *testing.T, s Store) {
	ctx, r := context.Background(), s.Records
	tags := inRepositories("a/_manifests/tags")
	put(t, r, tags+"/v1/current/link", "value")
	put(t, r, tags+"/v1/index/sha256/00/link", "value")
	put(t, r, tags+"/v2/current/link", "value")
	noErr(t, "delete", r.Delete(ctx, tags+"/v1/current/link", storage.Any))
	wantChildren(t, r, tags, "", "v1", "v2")
	wantChildren(t, r, tags+"/v1", "", "index")
	noErr(t, "delete", r.Delete(ctx, tags+"/v1/index/sha256/00/link", storage.Any))
	wantChildren(t, r, tags, "", "v2")
	wantChildren(t, s.Reopen(t).Records, tags, "", "v2")
	noErr(t, "delete", r.Delete(ctx, tags+"/v2/current/link", storage.Any))
	for folder := range folders(tags + "/v2/current/link") {
		wantChildren(t, r, folder, "")
	}
	wantChildren(t, r, "", "")
	wantList(t, r, "", "")
	put(t, r, tags+"/v1/current/link", "value")
	wantChildren(t, r, tags, "", "v1")
}

// testAgainstModel compares listings of keys that are made to confuse with
// sorting and filtering them.
func testAgainstModel(t *testing.T, s Store) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "a-", "a!", "a.", "a0", "aa", "b", "-", ".a", "~", "a b"}
	pick := func() string { return names[rng.IntN(len(names))] }
	have := map[string]bool{}
	for range 120 {
		key := "m/" // folders end in "_", records in "=": no key is a folder of another
		for range rng.IntN(4) {
			key += pick() + "_/"
		}
		key += pick() + "="
		if rng.IntN(4) == 0 && len(have) > 0 {
			for key = range have {
				break
			}
			noErr(t, "delete", s.Records.Delete(context.Background(), key, storage.Any))
			delete(have, key)
			continue
		}
		put(t, s.Records, key, "")
		have[key] = true
	}
	var keys, probes []string
	for key := range have {
		keys = append(keys, key)
		for i := range key {
			probes = append(probes, key[:i+1])
		}
		probes = append(probes, key+"!", key+"0")
	}
	slices.Sort(keys)
	slices.Sort(probes)
	probes = append(slices.Compact(probes), "")
	some := func() string { return probes[rng.IntN(len(probes))] }
	for range 400 {
		prefix, after := some(), some()
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && key > after {
				want = append(want, key)
			}
		}
		wantList(t, s.Records, prefix, after, want...)
		dir := strings.TrimSuffix(some(), "/")
		after = pick()
		want = nil
		for _, key := range keys {
			rest, ok := strings.CutPrefix(key, dir+"/")
			if name, _, _ := strings.Cut(rest, "/"); ok && name > after {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if storage.CheckKey(dir) == nil {
			wantChildren(t, s.Records, dir, after, slices.Compact(want)...)
		}
	}
}

// testListWhileMoving: what stays all the while is listed, whatever else comes
// and goes.
func testListWhileMoving(t *testing.T, s Store) {
	ctx := context.Background()
	var stay []string
	for _, name := range []string{"a", "c", "e", "g"} {
		stay = append(stay, name)
		put(t, s.Records, "m/"+name+"/x", "")
		put(t, s.Records, "m/"+name+"0/x", "")
	}
	var got []string
	for key, err := range s.Records.List(ctx, "m/", "") {
		noErr(t, "list", err)
		if name := strings.TrimSuffix(strings.TrimPrefix(key, "m/"), "/x"); len(name) == 1 {
			got = append(got, name)
			noErr(t, "delete", s.Records.Delete(ctx, "m/"+name+"0/x", storage.Any))
			put(t, s.Records, "m/"+name+"1/x", "")
		}
	}
	if !slices.Equal(got, stay) {
		t.Errorf("of what stayed, %q were listed, want %q", got, stay)
	}
	for name, err := range s.Records.Children(ctx, "m", "") {
		noErr(t, "children", err)
		noErr(t, "delete", s.Records.Delete(ctx, "m/"+name+"/x", storage.Any))
	}
	wantChildren(t, s.Records, "m", "")
}

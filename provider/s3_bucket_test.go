package provider

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// What S3 refuses for the moment is tried again; what fails for good is
// reported, and a bucket that was made is in the state.
func TestS3StorageFaults(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	config := s.config("%s", blobs(name))
	nothing := s.config("# nothing")
	aborted := refuse(409, "OperationAborted", "A conflicting conditional operation is currently in progress against this resource. Please try again.")
	made := func(operation string, faults ...fault) resource.TestStep {
		return resource.TestStep{
			PreConfig: s.fail(operation, faults...), Config: config,
			ConfigPlanChecks: expectAction(s3Blobs, create), ConfigStateChecks: []statecheck.StateCheck{s.has(name, func(*bucketSettings) {}), s.noneLeft()},
		}
	}
	gone := func(operation string, faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(operation, faults...), Config: nothing}
	}
	unitTest(t, testProvider(),
		made("PUT", aborted, status(503), lose), // made by the lost request, and known as such
		gone("DELETE", aborted, status(503), lose),
		made("PUT publicAccessBlock", aborted, refuse(404, "NoSuchBucket", "not here yet"), status(503), lose),
		gone("DELETE", cut),
		made("PUT lifecycle", times(3, aborted)...),
		gone("DELETE", refuse(404, "NoSuchBucket", "")), // which is what was wanted
		resource.TestStep{PreConfig: func() { removeBucket(t, s, name) }, Config: nothing},
		resource.TestStep{ // a response that never comes is the same as one that is lost
			PreConfig: s.fail("HEAD", times(20, status(500))...), Config: config, ExpectError: says("Could not look for the bucket"),
		},
		resource.TestStep{
			PreConfig: s.fail("PUT encryption", refuse(403, "AccessDenied", "User: x is not authorized to perform: s3:PutEncryptionConfiguration on resource: y")),
			Config:    config, ExpectError: says("The credentials lack s3:PutEncryptionConfiguration"),
		},
		resource.TestStep{ // it is in the state, and goes away before the next is made
			PreConfig: s.fail("none"), Config: config, ConfigPlanChecks: expectAction(s3Blobs, plancheck.ResourceActionDestroyBeforeCreate),
		},
		resource.TestStep{PreConfig: s.fail("GET versioning", times(20, status(500))...), Config: config, ExpectError: says("Could not read the bucket")},
		resource.TestStep{PreConfig: s.fail("GET policy", refuse(403, "AccessDenied", "no")), Config: config, ExpectError: says("The credentials lack s3:GetBucketPolicy")},
		resource.TestStep{PreConfig: s.fail("PUT versioning", refuse(403, "AccessDenied", "no")), Config: s.config("%s", blobs(name, "versioning = true")), ExpectError: says("The credentials lack s3:PutBucketVersioning")},
		resource.TestStep{PreConfig: s.fail("PUT versioning", aborted, lose), Config: s.config("%s", blobs(name, "versioning = true")), ConfigPlanChecks: expectAction(s3Blobs, update)},
		resource.TestStep{PreConfig: s.fail("DELETE", refuse(403, "AccessDenied", "no")), Config: nothing, ExpectError: says("The credentials lack s3:DeleteBucket")},
		resource.TestStep{PreConfig: s.fail("none"), Config: config},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.beforeUpdate(func() { removeBucket(t, s, name) }), Config: s.config("%s", blobs(name, "versioning = true")),
			ExpectError: says("Somebody else has deleted it since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail("none"), Config: config, ConfigPlanChecks: expectAction(s3Blobs, create)},
		resource.TestStep{Config: nothing},
	)
	s.noBucket(t, name)
}

// beforeUpdate does something when an update begins to look at the bucket: then,
// unlike before a plan, the provider does not ask first whether it is there.
func (s *awsServer) beforeUpdate(do func()) func() {
	var look fault
	look = func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		s.mu.Lock()
		refresh := len(s.requests) > 1 && s.requests[len(s.requests)-2] == "HEAD"
		if refresh {
			s.faults = []awsFault{{"GET publicAccessBlock", look}}
		}
		s.mu.Unlock()
		if !refresh {
			do()
		}
		server.ServeHTTP(w, r)
	}
	return s.fail("GET publicAccessBlock", look)
}

func (s *awsServer) noneLeft() statecheck.StateCheck {
	return serverCheck(func() error {
		if n := s.left(); n > 0 {
			return fmt.Errorf("%d faults did not happen", n)
		}
		return nil
	})
}

func removeBucket(t *testing.T, s *awsServer, name string) {
	t.Helper()
	if err := s.bucket(name).remove(context.WithoutCancel(t.Context()), true); err != nil {
		t.Fatal(err)
	}
	s.fail("none")()
}

// Time is up when timeouts says so, and a bucket that was made meanwhile is not
// forgotten.
func TestS3StorageTimeouts(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	hang := func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		lose(w, r, server)
		<-r.Context().Done()
	}
	aborted := times(1000, refuse(409, "OperationAborted", "later"))
	config, nothing := s.config("%s", blobs(name)), s.config("# nothing")
	short := s.config("%s", blobs(name, `timeouts = { create = "6s", delete = "6s" }`))
	unitTest(t, testProvider(),
		resource.TestStep{PreConfig: s.fail("PUT", aborted...), Config: short, ExpectError: says("OperationAborted")},
		resource.TestStep{PreConfig: s.fail("none"), Config: config, ConfigPlanChecks: expectAction(s3Blobs, create)},
		resource.TestStep{Config: short, ConfigPlanChecks: expectAction(s3Blobs, update)},
		resource.TestStep{PreConfig: s.fail("DELETE", aborted...), Config: nothing, ExpectError: says("OperationAborted")},
		resource.TestStep{PreConfig: s.fail("none"), Config: config, ConfigPlanChecks: expectAction(s3Blobs, update)},
		resource.TestStep{Config: nothing},
		resource.TestStep{PreConfig: s.fail("PUT", times(100, hang)...), Config: short, ExpectError: says("Could not configure the bucket")},
		resource.TestStep{PreConfig: s.fail("none"), Config: config, ConfigPlanChecks: expectAction(s3Blobs, plancheck.ResourceActionDestroyBeforeCreate)},
	)
	s.noBucket(t, name)
}

// A bucket with images is not destroyed, unless that was said before; then
// everything goes: more than one page of objects, versions, delete markers,
// unfinished uploads, and what is written meanwhile.
func TestS3StorageForceDestroy(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	api := s.s3()
	put := func(key string) error {
		_, err := api.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader(key)})
		return err
	}
	fill := func() {
		var group sync.WaitGroup
		for worker := range 4 {
			group.Go(func() {
				for i := range 130 {
					for range 2 { // versions
						if err := put(fmt.Sprintf("docker/registry/v2/%d/%d", worker, i)); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		group.Wait()
		_, err := api.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &name, Key: aws.String("docker/registry/v2/0/0")})
		if err == nil {
			_, err = api.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &name, Key: aws.String("unfinished")})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	nothing := s.config("# nothing")
	written := first(func() {
		if err := put("written meanwhile"); err != nil {
			t.Error(err)
		}
	})
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", blobs(name, "versioning = true"))},
		resource.TestStep{PreConfig: fill, Config: nothing, ExpectError: says("It holds, among others: docker/registry/v2/0/0")},
		resource.TestStep{Config: nothing, ExpectError: says("set force_destroy = true, run terraform apply, and only then destroy")},
		resource.TestStep{Config: s.config("%s", blobs(name, "versioning = true", "force_destroy = true")), ConfigPlanChecks: expectAction(s3Blobs, update)},
		resource.TestStep{PreConfig: s.fail("POST delete", refuse(403, "AccessDenied", "no")), Config: nothing, ExpectError: says("The credentials lack s3:DeleteObjectVersion")},
		resource.TestStep{PreConfig: s.fail("DELETE", written), Config: nothing},
	)
	if n := s.count("POST delete"); n < 3 {
		t.Errorf("%d requests removed 1040 versions", n)
	}
	s.noBucket(t, name)
}

// What verify finds missing is named, and nothing of the probe is left.
func TestS3StorageVerify(t *testing.T) {
	s, name, p := startAWS(t), newBucketName(), testProvider()
	p.verifyPatience = 0
	denied := func(operation, permission string) resource.TestStep {
		return resource.TestStep{
			PreConfig: s.fail(operation, times(200, refuse(403, "AccessDenied", "Access Denied"))...),
			Config:    s.config("%s", blobs(name, "verify = true")), ExpectError: says("The credentials lack " + permission),
		}
	}
	empty := serverCheck(func() error {
		out, err := s.s3().ListObjectVersions(context.Background(), &s3.ListObjectVersionsInput{Bucket: &name})
		if err == nil && len(out.Versions)+len(out.DeleteMarkers) > 0 {
			err = fmt.Errorf("the probe left %d versions and %d markers", len(out.Versions), len(out.DeleteMarkers))
		}
		return err
	})
	never := func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		r.Header.Del("If-None-Match")
		server.ServeHTTP(w, r)
	}
	unitTest(t, p,
		resource.TestStep{Config: s.config("%s", blobs(name))},
		denied("PUT object", "s3:PutObject"),
		denied("GET object", "s3:GetObject"),
		denied("GET list-type", "s3:ListBucket"),
		denied("POST object uploads", "s3:PutObject"),
		denied("GET uploads", "s3:ListBucketMultipartUploads"),
		denied("GET object uploadId", "s3:ListMultipartUploadParts"),
		denied("DELETE object uploadId", "s3:AbortMultipartUpload"),
		denied("DELETE object", "s3:DeleteObject"),
		resource.TestStep{
			PreConfig: s.fail("PUT object", times(2, never)...), Config: s.config("%s", blobs(name, "verify = true")),
			ExpectError: says("does not honour conditional writes"),
		},
		resource.TestStep{ // moto does not see the condition of the policy, and denies everything
			PreConfig: s.fail("none"), Config: s.config("%s", blobs(name, "verify = true", "deny_insecure_transport = true")),
			ExpectError: says("The provider speaks to S3 without TLS"),
		},
		resource.TestStep{ // a new policy takes its time
			PreConfig: func() {
				p.verifyPatience = time.Minute
				s.fail("PUT object", times(3, refuse(403, "AccessDenied", "not yet"))...)()
			},
			Config: s.config("%s", blobs(name, "verify = true", "force_destroy = true")), ConfigPlanChecks: expectAction(s3Blobs, update),
			ConfigStateChecks: []statecheck.StateCheck{is(s3Blobs, "verify", knownvalue.Bool(true))},
		},
		resource.TestStep{Config: s.config("%s", blobs(name, "verify = true", "force_destroy = true")), ConfigStateChecks: []statecheck.StateCheck{s.noneLeft()}},
		resource.TestStep{
			PreConfig: func() { removeAll(t, s, name) }, // the probe that was not allowed to delete
			Config:    s.config("%s", blobs(name, "verify = true", `root_directory = "some/place"`)), ConfigStateChecks: []statecheck.StateCheck{empty},
		},
		resource.TestStep{Config: s.config("%s", blobs(name, "verify = true", "versioning = true")), ConfigStateChecks: []statecheck.StateCheck{empty}},
	)
	s.noBucket(t, name)
}

func removeAll(t *testing.T, s *awsServer, name string) {
	t.Helper()
	if err := s.bucket(name).empty(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Another S3 server, which keeps its objects in a directory.
func TestS3VerifyVersity(t *testing.T) {
	t.Parallel()
	binary, err := exec.Command("../.ci/tool", "versitygw").Output()
	if err != nil {
		t.Skipf("NOT TESTED: versitygw is not here and cannot be installed: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(strings.TrimSpace(string(binary)), "--access", "test", "--secret", "test-secret", "--port", address, "--quiet", "posix", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	b := bucket{s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test-secret", ""),
	}), "images"}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = b.create(t.Context()); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := b.verify(t.Context(), "/some/place"); err != nil {
		t.Error(err)
	}
	if left := b.sample(t.Context()); left != "" {
		t.Errorf("the probe left %s", left)
	}
	if err := b.remove(t.Context(), true); err != nil {
		t.Error(err)
	}
}

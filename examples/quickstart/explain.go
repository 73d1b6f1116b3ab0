package main

import "fmt"

// explain prints how to go on by hand.
func (w *workspace) explain(r *registry, u users) {
	tf := fmt.Sprintf("%s -chdir=%s", w.terraform, w.path("terraform"))
	fmt.Printf(`
==> Your registry is running at %[1]s

    Log in and push (Docker allows plain HTTP to 127.0.0.1):
      %[2]s output -raw ci_password | docker login %[1]s -u %[3]s --password-stdin
      docker tag my-image %[1]s/team/my-image:1.0
      docker push %[1]s/team/my-image:1.0

    Run the image that was just pushed:
      docker run --rm %[1]s/team/hello:1.0

    Look around:
      export CI="%[3]s:$(%[2]s output -raw ci_password)"
      curl -u "$CI" http://%[1]s/v2/_catalog
      curl -u "$CI" http://%[1]s/v2/team/hello/tags/list
      curl -u "admin:$(cat %[4]s)" http://%[1]s/api/v1/users

    Change who may do what: edit examples/quickstart/main.tf and run make quickstart again.
    The server's log is in %[5]s.

    Ctrl-C stops the registry; images and users stay in %[6]s.
`, r.host, tf, u.ci.name, w.path("admin-password"), r.logPath, w.dir)
}

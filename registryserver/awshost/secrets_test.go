package awshost

import "testing"

func FuzzLogin(f *testing.F) {
	for _, seed := range []string{`{"username":"admin","password":"s3cr3t-s3cr3t"}`, `{"username":"admin"}`, `[]`, ``, `{"username":1}`, "null"} {
		f.Add(seed)
	}
	_, err := parseLogin("id", "")
	says := err.Error() // whatever the secret is
	f.Fuzz(func(t *testing.T, value string) {
		l, err := parseLogin("id", value)
		switch {
		case err == nil && (l.Username == "" || l.Password == ""):
			t.Errorf("%q gives a login without name or password", value)
		case err != nil && err.Error() != says:
			t.Errorf("the error depends on the secret: %v", err)
		}
	})
}

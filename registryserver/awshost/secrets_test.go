package awshost

import (
	"strings"
	"testing"
)

func FuzzLogin(f *testing.F) {
	for _, seed := range []string{`{"username":"admin","password":"s3cr3t-s3cr3t"}`, `{"username":"admin"}`, `[]`, ``, `{"username":1}`, "null"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		l, err := parseLogin("id", value)
		switch {
		case err == nil && (l.Username == "" || l.Password == ""):
			t.Errorf("%q gives a login without name or password", value)
		case err != nil && len(value) > 3 && strings.Contains(err.Error(), value):
			t.Errorf("the error holds the secret: %v", err)
		}
	})
}

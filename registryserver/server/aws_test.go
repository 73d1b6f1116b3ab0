package server

import (
	"encoding/json"
	"testing"
)

// TestAcceptedSecret: a running server that accepts the secret of one that has
// started after an exchange takes its tokens and its uploads, and opens with every key ring.
func TestAcceptedSecret(t *testing.T) {
	first, _ := newTestServer(t, tokenServer+"\nhttp: {secret: first}")
	config := *first.config
	config.HTTP.Secret, config.HTTP.PreviousSecrets = "second", []Secret{"first"}
	second, err := New(t.Context(), &config, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var a tokenAnswer
	answer := second.ask("GET", "/token?scope=repository:app:pull,push", basic("root", "correct-horse"), nil)
	if err := json.Unmarshal(answer.Body.Bytes(), &a); err != nil || a.Token == "" {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	begun := second.ask("POST", "/v2/app/blobs/uploads/", "Bearer "+a.Token, nil)
	status := func() (token, upload int) {
		return first.ask("POST", "/v2/app/blobs/uploads/", "Bearer "+a.Token, nil).Code,
			first.ask("GET", begun.Header().Get("Location"), basic("root", "correct-horse"), nil).Code
	}
	if token, upload := status(); token != 401 || upload/100 == 2 {
		t.Errorf("before: the token is answered %d and the upload %d", token, upload)
	}
	for n, want := range []bool{true, false} {
		if accepted, err := first.accept("second"); accepted != want || err != nil {
			t.Errorf("accepted for time %d: %v, %v", n, accepted, err)
		}
	}
	if token, upload := status(); token != 202 || upload != 204 {
		t.Errorf("after: the token is answered %d and the upload %d", token, upload)
	}
	for n, keys := range first.keyrings {
		sealed, err := second.keyrings[0].Seal("any", []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Open("any", sealed, nil); err != nil {
			t.Errorf("keys %d of %d: %v", n, len(first.keyrings), err)
		}
	}
}

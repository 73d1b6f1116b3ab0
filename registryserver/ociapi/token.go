package ociapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// maxTokenForm bounds the body of a POST to /token.
const maxTokenForm = 64 << 10

// tokenAnswer is the answer of /token. Clients read one of the first two; those
// that send a POST read OAuth2's names.
type tokenAnswer struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
	Scope       string    `json:"scope,omitempty"`
}

// ServeToken answers /token (Docker Registry v2 authentication): with a token
// for what of the scope the caller may do now.
func (a *API) ServeToken(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range a.Headers {
		h[name] = values
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if err := a.token(w, r); err != nil {
		a.writeError(w, r, request{kind: kindToken}, err)
	}
}

func (a *API) token(w http.ResponseWriter, r *http.Request) error {
	if !a.Gate.ServesTokens() {
		return oci.Errorf(oci.CodeNotFound, "this registry has no tokens; log in with user name and password")
	}
	var login *http.Request
	var scopes []string
	var err error
	switch r.Method {
	case http.MethodGet:
		login, scopes = r, r.URL.Query()["scope"]
	case http.MethodPost:
		login, scopes, err = tokenForm(w, r)
	default:
		return methodNotAllowed(w, map[string]handler{http.MethodGet: nil, http.MethodPost: nil})
	}
	if err != nil {
		return err
	}
	scope, err := auth.ParseScope(scopes)
	if err != nil {
		return err
	}
	who, err := a.Gate.Authenticate(r.Context(), login)
	if err != nil {
		return err
	}
	t, err := a.Gate.IssueScoped(r.Context(), who, scope)
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", tokenAnswer{
		Token: t.Token, AccessToken: t.Token, ExpiresIn: int(t.Lifetime / time.Second), IssuedAt: t.IssuedAt, Scope: t.Scope.String(),
	})
}

// tokenForm reads the form that clients POST with OAuth2 (RFC 6749), and
// returns a request that bears its credentials as a header would. A refresh
// token is a token that the admin API issued.
func tokenForm(w http.ResponseWriter, r *http.Request) (login *http.Request, scopes []string, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenForm)
	if err := r.ParseForm(); err != nil {
		return nil, nil, &oci.Error{Code: oci.CodeInvalid, Message: "the body is no form, or larger than 64 KiB"}
	}
	form := r.PostForm
	login = r.Clone(r.Context())
	switch grant := form.Get("grant_type"); grant {
	case "password":
		if form.Get("username") == "" || strings.Contains(form.Get("username"), ":") {
			return nil, nil, oci.Errorf(oci.CodeUnauthorized, "wrong user name or password")
		}
		login.SetBasicAuth(form.Get("username"), form.Get("password"))
	case "refresh_token":
		if form.Get("refresh_token") == "" {
			return nil, nil, oci.Errorf(oci.CodeInvalid, "the field refresh_token is missing")
		}
		login.Header.Set("Authorization", "Bearer "+form.Get("refresh_token"))
	default:
		return nil, nil, oci.Errorf(oci.CodeInvalid, "grant_type must be password or refresh_token")
	}
	return login, form["scope"], nil
}

package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
)

// expiryWarning warns once a day of each certificate that should have been
// replaced.
type expiryWarning struct {
	log      *slog.Logger
	expiries func() []certificates.Expiry
	now      func() time.Time

	warned map[certificateName]time.Time
}

// certificateName is one certificate, and stays the same when it is replaced.
type certificateName struct{ source, name string }

const (
	expiryLook   = 10 * time.Minute // how often certificates are looked at
	expiryRepeat = 24 * time.Hour
)

func (w *expiryWarning) run(ctx context.Context) error {
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(expiryLook):
		}
	}
}

func (w *expiryWarning) look(ctx context.Context) {
	now := w.now()
	if w.warned == nil {
		w.warned = make(map[certificateName]time.Time)
	}
	for _, e := range w.expiries() {
		name := certificateName{e.Source, e.Name}
		last, warned := w.warned[name]
		switch {
		case now.Before(e.WarnFrom):
			delete(w.warned, name)
			continue
		case warned && now.Sub(last) < expiryRepeat:
			continue
		}
		w.warned[name] = now
		attrs := []any{"source", e.Source, "name", e.Name, "not_after", e.NotAfter.UTC()}
		if now.After(e.NotAfter) {
			w.log.ErrorContext(ctx, "a certificate has expired; clients refuse it. "+remedy(e.Source), attrs...)
			continue
		}
		days := int(e.NotAfter.Sub(now) / (24 * time.Hour))
		w.log.WarnContext(ctx, "a certificate expires soon. "+remedy(e.Source), append(attrs, "days_left", days)...)
	}
}

// remedy says what to do about a certificate that ends.
func remedy(source string) string {
	switch source {
	case "acme":
		return "Its renewal over ACME is overdue: can the ACME server reach this one on port 443 by this name?"
	case "installed":
		return "Install a new one under the same name"
	}
	return "Put a new one into its file; it is loaded without a restart"
}

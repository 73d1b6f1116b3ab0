package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/awshost"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// How starts are reported is in docs/storage-format.md. The provider reads it,
// and the first boot of an instance of modules/cluster reads and writes it, too.

const (
	// reportTimeout bounds the report of a start, to each place.
	reportTimeout = 20 * time.Second
	// maxReport is how much of a reason is kept, and maxParameter how much of one
	// fits into a parameter.
	maxReport    = 16 << 10
	maxParameter = 4 << 10
)

// bootReport is the key of the reason why the server on a machine did not start.
func bootReport(instance string) string { return storage.KitRoot + "/boot/" + instance }

// launchesRecord is the key of the newest launch that succeeded, or of the word
// that launches were stopped: failures before it do not count any more.
const launchesRecord = storage.KitRoot + "/boot/launches"

// ReportFailedStart leaves the reason of a failed start where the configuration
// asks for it, so that it can be read when the machine is gone: in the storage,
// or in a parameter where the storage is what failed.
func ReportFailedStart(ctx context.Context, c *Config, o Options, reason error) error {
	if !c.AWS.BootReport && c.AWS.BootParameter == "" {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	host, err := awshost.New(ctx, awshost.Config{Region: c.AWS.Region, Log: o.Log})
	if err != nil {
		return err
	}
	id, err := host.InstanceID(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s %s did not start: %v\n", time.Now().UTC().Format(time.RFC3339), id, reason)
	if c.AWS.BootReport && !c.Storage.ReadOnly {
		if err = putReport(ctx, c.Storage, o.Log, id, cut(text, maxReport)); err == nil {
			return nil
		}
	}
	if c.AWS.BootParameter == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if failed := host.SetParameter(ctx, c.AWS.BootParameter, cut(text, maxParameter)); failed != nil {
		return errors.Join(err, failed)
	}
	return nil
}

func putReport(ctx context.Context, c StorageConfig, log *slog.Logger, id, text string) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	store, err := openStore(ctx, c, log)
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = store.Records().Put(ctx, bootReport(id), []byte(text), storage.Any)
	return err
}

// cut returns at most limit bytes of a text, of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// reportStart takes back what this machine has said about a failed start, and
// says of a member of a group that launches succeed.
func (s *Server) reportStart(ctx context.Context) {
	if !s.config.AWS.BootReport || s.config.Storage.ReadOnly {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if err := s.putStart(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("the report of the start could not be left in the storage", "error", err)
	}
}

func (s *Server) putStart(ctx context.Context) error {
	id, err := s.host.InstanceID(ctx)
	if err != nil {
		return err
	}
	err = s.records.Delete(ctx, bootReport(id), storage.Any)
	if s.config.AWS.AutoScaling.Group == "" {
		return err
	}
	text := fmt.Sprintf("%s %s started\n", time.Now().UTC().Format(time.RFC3339), id)
	_, putErr := s.records.Put(ctx, launchesRecord, []byte(text), storage.Any)
	return errors.Join(err, putErr)
}

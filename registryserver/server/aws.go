package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/awshost"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const (
	// secretsTimeout bounds the wait for Secrets Manager at the start.
	secretsTimeout = 30 * time.Second
	// rotationPoll is how often servers look for a new HTTP secret.
	rotationPoll = 5 * time.Minute
	// rotationWait is how old a new HTTP secret has to be before anything is
	// sealed with it: by then every server has seen it.
	rotationWait = 2 * rotationPoll
	// spotReserve is left of a spot notice for what follows the drain.
	spotReserve = 20 * time.Second
	// completeTimeout bounds a word to the Auto Scaling group.
	completeTimeout = 20 * time.Second
	// launchTries is how often the group is told that a new machine is ready.
	launchTries = 15
	// letGoTimeout bounds the wait for the load balancer of a group that ends
	// this machine; its deregistration delay is an hour at most.
	letGoTimeout = time.Hour + 5*time.Minute
)

// openAWS opens the machine and reads the secrets that it is to have. The
// configuration of the caller stays as it is.
func (s *Server) openAWS(ctx context.Context) error {
	if !s.config.AWS.used() {
		return nil
	}
	var err error
	if s.host, err = awshost.New(ctx, awshost.Config{Region: s.config.AWS.Region, Log: s.log}); err != nil {
		return fmt.Errorf("aws: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, secretsTimeout)
	defer cancel()
	own := *s.config
	s.config = &own
	return errors.Join(s.readHTTPSecret(ctx), s.readAdmin(ctx), s.readRedisPassword(ctx))
}

func (s *Server) readHTTPSecret(ctx context.Context) error {
	id := s.config.AWS.Secrets.HTTP
	if id == "" {
		return nil
	}
	found, err := s.host.Secret(ctx, id)
	if err != nil {
		return fmt.Errorf("aws.secrets.http: %w", err)
	}
	current, other := found.Current, found.Previous
	if other != "" && time.Since(found.Since) < rotationWait {
		current, other = other, current // not every server knows the new one
	}
	c := &s.config.HTTP
	c.Secret = Secret(current)
	if other != "" {
		c.PreviousSecrets = append([]Secret{Secret(other)}, c.PreviousSecrets...)
	}
	return nil
}

func (s *Server) readAdmin(ctx context.Context) error {
	id := s.config.AWS.Secrets.Admin
	if id == "" {
		return nil
	}
	login, err := s.host.Login(ctx, id)
	if err != nil {
		return fmt.Errorf("aws.secrets.admin: %w", err)
	}
	s.config.Admin = AdminConfig{Username: login.Username, Password: Secret(login.Password)}
	return nil
}

func (s *Server) readRedisPassword(ctx context.Context) error {
	id := s.config.AWS.Secrets.Redis
	if id == "" {
		return nil
	}
	found, err := s.host.Secret(ctx, id)
	if err != nil {
		return fmt.Errorf("aws.secrets.redis: %w", err)
	}
	own := *s.config.Redis
	own.Password = Secret(found.Current)
	s.config.Redis = &own
	return nil
}

// followHTTPSecret accepts a new HTTP secret while the server runs. It seals
// with it from its next start on. keys are those that others compare theirs
// with.
func (s *Server) followHTTPSecret(keys *auth.Keyring, records storage.Records) {
	if s.config.AWS.Secrets.HTTP == "" {
		return
	}
	s.tasks = append(s.tasks, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rotationPoll):
			}
			accepted, err := s.acceptHTTPSecret(ctx)
			if accepted && err == nil && s.leavesSecretCheck() {
				_, err = keys.CheckShared(ctx, records) // so that a server which starts finds that they agree
			}
			if err != nil && ctx.Err() == nil {
				s.log.Warn("a new HTTP secret could not be taken over; it is looked for again", "error", err)
			}
		}
	})
}

// acceptHTTPSecret looks for a new secret, and reports whether there was one.
func (s *Server) acceptHTTPSecret(ctx context.Context) (bool, error) {
	found, err := s.host.Secret(ctx, s.config.AWS.Secrets.HTTP)
	if err != nil {
		return false, err
	}
	accepted, err := s.accept(found.Current)
	if accepted {
		s.log.Info("the new HTTP secret is accepted from now on, and used from the next start on")
	}
	return accepted, err
}

// accept lets all keys open what a secret sealed, and reports whether that is new.
func (s *Server) accept(secret string) (bool, error) {
	accepted := false
	for _, keys := range s.keyrings {
		fresh, err := keys.Accept(secret)
		if err != nil {
			return false, err
		}
		accepted = accepted || fresh
	}
	return accepted, nil
}

// announceReady tells whoever started this server that it can be used: systemd,
// and the Auto Scaling group that waits for a new machine.
func (s *Server) announceReady(ctx context.Context) error {
	for s.ready.err(ctx) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(checkEvery):
		}
	}
	if err := notifySystemd("READY=1"); err != nil {
		s.log.Warn("systemd could not be told that the server is ready", "error", err)
	}
	// One word that is lost would cost a good machine: the group ends it when the
	// hook's time is over.
	for try := 1; !s.complete(ctx, s.config.AWS.AutoScaling.LaunchHook) && try < launchTries && ctx.Err() == nil; try++ {
		select {
		case <-ctx.Done():
		case <-time.After(checkEvery):
		}
	}
	s.reportStart(ctx)
	return nil
}

// complete lets the Auto Scaling group go on, if it waits, and reports whether it
// could be asked.
func (s *Server) complete(ctx context.Context, hook string) bool {
	if hook == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	_, err := s.host.Complete(ctx, s.config.AWS.AutoScaling.Group, hook)
	if err != nil {
		s.log.Error("the Auto Scaling group could not be told to go on; it waits until the hook's time is over", "error", err)
	}
	return err == nil
}

// completeEnd lets the Auto Scaling group end this machine, now that the server
// has drained. A group that has decided to may not wait for that yet: then the
// server stays until it does, until a signal ends it, or the machine is gone.
func (s *Server) completeEnd(signal, notGone context.Context) {
	scaling := s.config.AWS.AutoScaling
	if scaling.TerminateHook == "" {
		return
	}
	if !s.leaving.Load() || signal.Err() != nil || notGone.Err() != nil {
		s.complete(context.WithoutCancel(signal), scaling.TerminateHook)
		return
	}
	ctx, cancel := context.WithTimeout(signal, letGoTimeout)
	defer cancel()
	defer context.AfterFunc(notGone, cancel)()
	if err := s.host.CompleteEnd(ctx, scaling.Group, scaling.TerminateHook); err != nil {
		s.log.Error("the Auto Scaling group could not be told that this machine has drained; it waits until the hook's time is over", "error", err)
	}
}

// whileHere returns a context that ends with ctx, or when AWS is about to take
// the machine, and calls gone when it cannot be used any longer, which for a
// spot instance is soon. It looks for that until background ends.
func (s *Server) whileHere(ctx, background context.Context, gone context.CancelFunc) (context.Context, context.CancelFunc) {
	here, cancel := context.WithCancel(ctx)
	if s.config.AWS.AutoScaling.Group == "" {
		return here, cancel
	}
	go func() {
		leaving, err := s.host.Leaving(background)
		if err != nil {
			return
		}
		s.log.Info("this machine is about to go", "reason", leaving.Reason)
		s.leaving.Store(true)
		cancel()
		if leaving.At.IsZero() {
			if leaving, err = s.host.SpotNotice(background); err != nil {
				return
			}
		}
		left := max(0, time.Until(leaving.At)-spotReserve)
		s.log.Info("the shutdown is bounded by the spot notice", "left", left.Round(time.Second))
		select {
		case <-time.After(left):
			gone()
		case <-background.Done():
		}
	}()
	return here, cancel
}

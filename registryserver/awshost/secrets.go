package awshost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Secret is a secret of Secrets Manager with the version before it, which stays
// good while servers change over.
type Secret struct {
	Current  string
	Previous string    // "" if there is none
	Since    time.Time // when Current was made
}

// Secret reads one, by name or ARN. Its errors say what to do and hold nothing
// of the secret.
func (h *Host) Secret(ctx context.Context, id string) (Secret, error) {
	current, since, err := h.version(ctx, id, "AWSCURRENT")
	if err != nil {
		return Secret{}, explain(id, err)
	}
	if current == "" {
		return Secret{}, fmt.Errorf("the secret %s is empty, or holds bytes and no text", id)
	}
	previous, _, err := h.version(ctx, id, "AWSPREVIOUS")
	if err != nil && code(err) != "ResourceNotFoundException" {
		return Secret{}, explain(id, err)
	}
	return Secret{Current: current, Previous: previous, Since: since}, nil
}

func (h *Host) version(ctx context.Context, id, stage string) (string, time.Time, error) {
	out, err := h.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(id), VersionStage: aws.String(stage)})
	if err != nil {
		return "", time.Time{}, err
	}
	return aws.ToString(out.SecretString), aws.ToTime(out.CreatedDate), nil
}

// Login is a user name and password, which a secret holds as JSON.
type Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Login reads a secret that holds one.
func (h *Host) Login(ctx context.Context, id string) (Login, error) {
	secret, err := h.Secret(ctx, id)
	if err != nil {
		return Login{}, err
	}
	return parseLogin(id, secret.Current)
}

func parseLogin(id, value string) (Login, error) {
	var l Login
	if json.Unmarshal([]byte(value), &l) != nil || l.Username == "" || l.Password == "" {
		return Login{}, fmt.Errorf(`the secret %s does not hold {"username": "…", "password": "…"}`, id)
	}
	return l, nil
}

// explain says what can be done about a secret that cannot be read.
func explain(id string, err error) error {
	switch code(err) {
	case "ResourceNotFoundException":
		return fmt.Errorf("there is no secret %s in this region, or it has no value yet: %w", id, err)
	case "AccessDeniedException":
		return fmt.Errorf("the role of this machine may not read the secret %s: allow it secretsmanager:GetSecretValue, and kms:Decrypt if a key of your own encrypts it: %w", id, err)
	case "DecryptionFailure":
		return fmt.Errorf("the secret %s cannot be decrypted: allow the role of this machine kms:Decrypt with its key: %w", id, err)
	case "":
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no answer from Secrets Manager: without a way to the internet the VPC needs an endpoint for secretsmanager: %w", err)
		}
	}
	return fmt.Errorf("the secret %s cannot be read: %w", id, err)
}

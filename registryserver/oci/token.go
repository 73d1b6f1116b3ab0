package oci

import "time"

// For how long a token that the admin API issues can be good.
const (
	MinTokenLifetime     = time.Minute
	DefaultTokenLifetime = time.Hour
	MaxTokenLifetime     = 90 * 24 * time.Hour
)

// CheckTokenLifetime returns why a token cannot be good for d, or nil.
func CheckTokenLifetime(d time.Duration) error {
	if d < MinTokenLifetime || d > MaxTokenLifetime || d%time.Second != 0 {
		return Errorf(CodeInvalid, "a token can be good for %d to %d seconds (90 days), in whole seconds", MinTokenLifetime/time.Second, MaxTokenLifetime/time.Second)
	}
	return nil
}

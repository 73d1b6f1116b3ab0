package awshost

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// SetParameter writes a parameter of Systems Manager, which is there or not.
func (h *Host) SetParameter(ctx context.Context, name, value string) error {
	// Systems Manager would take this for the name of another parameter.
	value = strings.ReplaceAll(value, "{{", "{ {")
	_, err := h.parameters.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString, Overwrite: aws.Bool(true)})
	switch {
	case err == nil:
		return nil
	case code(err) == "AccessDeniedException":
		return fmt.Errorf("the role of this machine may not write the parameter %s: allow it ssm:PutParameter: %w", name, err)
	}
	return fmt.Errorf("the parameter %s cannot be written: %w", name, err)
}

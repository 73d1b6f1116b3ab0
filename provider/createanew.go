package provider

import "github.com/registrykit/terraform-provider-registry/registryserver/oci"

// createAnew makes an object with a request that the server takes again if it has
// done it already, and never over another object. taken reports that there is
// one, which is then not adopted.
func createAnew[T any](get, create func() (T, error)) (made T, taken bool, err error) {
	if exists(get()) {
		return made, true, nil
	}
	made, err = create()
	if err != nil && exists(get()) {
		// A server that fails may have done it all the same. It takes what is the same
		// for that.
		again, conflict := create()
		switch {
		case conflict == nil:
			return again, false, nil
		case oci.ErrorCode(conflict) == oci.CodePreconditionFailed:
			return made, true, nil
		}
	}
	return made, false, err
}

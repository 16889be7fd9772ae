//go:build !unix

package launch

import "errors"

// Init is for the first process of a container, which there is none of here.
func Init(bool) (int, error) {
	return 1, errors.New("there is no first process on this system")
}

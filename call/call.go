// Package call is what a handler is given: who calls, from where, when, the transaction, and the means to
// authorize, to emit events, to set timers and to call other services.
package call

import "context"

// Call is one call of one operation, from its authentication to its answer.
type Call struct {
	Context context.Context
}

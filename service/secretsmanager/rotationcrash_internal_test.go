package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/store/storetest"
)

// strategiesUnderTest are the ways in which passwords are rotated.
var strategiesUnderTest = map[string]func(w *workshop){
	"OneUser":   func(w *workshop) { w.app("db", "") },
	"Overlaps":  func(w *workshop) { w.db.overlaps = true; w.app("db", "") },
	"Alternate": func(w *workshop) { w.app("db", `,"masterarn":"`+w.super()+`"`) },
}

// mostActions is more than a rotation asks of a database.
const mostActions = 8

// sound holds a secret against what is promised at any moment: what AWSCURRENT says logs in, or its readers wait.
func (w *workshop) sound(when string) {
	w.t.Helper()
	if !w.record("db").switching() && !w.logsIn("db") {
		w.t.Errorf("%s: AWSCURRENT does not log in", when)
	}
}

// done holds a secret against what is promised when its rotation is over.
func (w *workshop) done(when, version string) {
	w.t.Helper()
	r := w.record("db")
	if r.Labels[currentLabel] != version || r.hanging() != "" || r.Rotation.Run != nil || r.Rotation.Last.IsZero() || !w.logsIn("db") {
		w.t.Errorf("%s: labels %v, %+v, the database has %v", when, r.Labels, r.Rotation, w.db.users)
	}
}

// The process dies before, or right after, each thing that is asked of the database. The next one takes the rotation up.
func TestCrashAtEachStep(t *testing.T) {
	for name, prepare := range strategiesUnderTest {
		for n := range mostActions {
			for _, effect := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%t", name, n, effect), func(t *testing.T) {
					t.Parallel()
					w := newWorkshop(t)
					prepare(w)
					crashed := make(chan struct{})
					count := 0
					crash := func(ctx context.Context, _ string) error {
						count++
						if count != n+1 {
							return nil
						}
						close(crashed)
						<-ctx.Done()
						return ctx.Err()
					}
					if effect {
						w.db.after = crash
					} else {
						w.db.before = crash
					}
					version := w.rotate("db", nil)
					finished := make(chan struct{})
					go func() {
						defer close(finished)
						w.advance(overlapTime)
					}()
					select {
					case <-crashed:
						w.stop()
						<-finished
						w.sound("after the crash")
						w.open()
					case <-finished: // there are not so many
					}
					w.advance(time.Hour)
					w.done("in the end", version)
				})
			}
		}
	}
}

// Each thing that is asked of the database fails once, whether it has an effect or not, in each of the ways in which it can.
func TestFaultAtEachStep(t *testing.T) {
	for name, prepare := range strategiesUnderTest {
		for n := range mostActions {
			for _, fault := range []error{database.ErrUnreachable, database.ErrDenied, errors.New("an error of the database")} {
				for _, effect := range []bool{false, true} {
					if effect && !errors.Is(fault, database.ErrUnreachable) {
						continue // an answer is true
					}
					t.Run(fmt.Sprintf("%s/%d/%v/%t", name, n, fault, effect), func(t *testing.T) {
						t.Parallel()
						w := newWorkshop(t)
						prepare(w)
						count := 0
						fail := func(context.Context, string) error {
							if count++; count == n+1 {
								return fault
							}
							return nil
						}
						if effect {
							w.db.after = fail
						} else {
							w.db.before = fail
						}
						version := w.rotate("db", nil)
						w.advance(0)
						w.sound("after the fault")
						w.advance(time.Hour)
						w.done("in the end", version)
					})
				}
			}
		}
	}
}

// Each commit to the store fails once.
func TestStoreFaultAtEachStep(t *testing.T) {
	for name, prepare := range strategiesUnderTest {
		for n := range mostActions {
			for _, fault := range []storetest.Fault{storetest.Conflict, storetest.LostReply, storetest.LostRequest, storetest.Full} {
				t.Run(fmt.Sprintf("%s/%d/%d", name, n, fault), func(t *testing.T) {
					t.Parallel()
					w := newWorkshop(t)
					prepare(w)
					version := w.rotate("db", object{"RotateImmediately": true})
					w.store.Fail(append(make([]storetest.Fault, n), fault)...)
					w.advance(0)
					w.restart() // a commit whose outcome is unknown may have been of a timer
					w.advance(2 * time.Hour)
					w.done("in the end", version)
				})
			}
		}
	}
}

package door

import (
	"errors"
	"net/http"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// Headers of the answer to a denied caller who may read what their own policies say: the event that holdfast why explains, and the message that
// sts:DecodeAuthorizationMessage decodes.
const (
	whyHeader     = "X-Holdfast-Why"
	messageHeader = "X-Holdfast-Authorization-Message"
)

// why is what the answer tells a denied caller of its reasons; nothing by default.
type why struct{ event, message string }

func (y why) set(h http.Header) {
	if y.event != "" {
		h.Set(whyHeader, y.event)
	}
	if y.message != "" {
		h.Set(messageHeader, y.message)
	}
}

// encodedSuffix is how EC2 tells the message.
const encodedSuffix = " Encoded authorization failure message: "

// tell puts into the answer where a denial is explained, if its caller may know. Nobody else learns anything by it. It is called after the call was
// recorded: the message belongs to the caller alone.
func (d *Door) tell(x *exchange, c *call.Call, err error) {
	if d.cfg.Evidence == nil {
		return
	}
	denied, ok := errors.AsType[*call.Denied](err)
	if !ok || !c.MayKnowWhy() {
		return
	}
	x.why.event = c.EventID
	message, err := d.cfg.Evidence.Encode(c.Caller.Account, c.Failure(denied))
	if err != nil || message == "" {
		return // the sentence says what matters
	}
	x.why.message, denied.Encoded = message, message
}

// sentence is what a denied caller is told.
func sentence(d *call.Denied, s sigv4.Style) string {
	if s == sigv4.EC2 && d.Encoded != "" {
		return d.Message + "." + encodedSuffix + d.Encoded
	}
	return d.Message
}

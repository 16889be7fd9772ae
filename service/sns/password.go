package sns

import (
	"fmt"
	"net/url"
)

// The URL of a server can have a user and a password in it, for basic authentication. The password is sealed, and shown to nobody:
// https://docs.aws.amazon.com/sns/latest/dg/sns-subscribe-https-s-endpoints-to-topic.html

// hidden stands where the password was, as with AWS.
const hidden = "****"

// hidePassword takes the password out of the endpoint of a new subscription and seals it.
func (s *Service) hidePassword(r *subscriptionRecord) error {
	if !r.http() {
		return nil
	}
	u, err := url.Parse(r.Endpoint)
	if err != nil {
		return err
	}
	password, has := u.User.Password()
	if !has {
		return nil
	}
	if r.Password, err = s.box.Wrap(r.passwordName(), []byte(password)); err != nil {
		return err
	}
	user := url.User(u.User.Username()).String()
	u.User = nil
	rest := u.String()[len(u.Scheme+"://"):]
	r.Endpoint = u.Scheme + "://" + user + ":" + hidden + "@" + rest
	return nil
}

// address is the URL of the subscription's server, with the password.
func (s *Service) address(r *subscriptionRecord) (string, error) {
	if r.Password == nil {
		return r.Endpoint, nil
	}
	u, err := url.Parse(r.Endpoint)
	if err != nil {
		return "", err
	}
	password, err := s.box.Unwrap(r.passwordName(), r.Password)
	if err != nil {
		return "", fmt.Errorf("opening the password for a server: %w", err)
	}
	u.User = url.UserPassword(u.User.Username(), string(password))
	return u.String(), nil
}

func (r *subscriptionRecord) passwordName() string { return "password/" + r.TopicID + "/" + r.ID }

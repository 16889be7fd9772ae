package events

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The credentials of a connection lie in a secret of Secrets Manager, in the account and region of the connection. Who makes, changes and deletes the connection does so with the secret, in the same
// transaction and with the same rights. What is sent with the connection, EventBridge reads by its service-linked role:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-auth.html

// The service-linked role, which is made with an account's first connection:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/using-service-linked-roles-service-action-1.html
const (
	linkedService = "apidestinations.events.amazonaws.com"
	linkedRole    = "aws-service-role/" + linkedService + "/AWSServiceRoleForAmazonEventBridgeApiDestinations"
)

func linkedRoleARN(partition, account string) string {
	return "arn:" + partition + ":iam::" + account + ":role/" + linkedRole
}

// link sees to it that the account has the service-linked role.
func (s *Service) link(c *call.Call) error {
	role, err := c.Role(linkedRoleARN(c.Scope.Partition, c.Scope.Account))
	if err != nil || role != nil {
		return err
	}
	_, err = s.cfg.IAM.CreateServiceLinkedRole(c, &iam.CreateServiceLinkedRoleRequest{AWSServiceName: new(linkedService)})
	return ofNeighbour(err)
}

// deposit puts credentials into the secret of a connection, which is made if there is none.
func (s *Service) deposit(c *call.Call, n *connectionRecord, secrets *connectionSecrets, rekeyed bool) error {
	if err := s.link(c); err != nil {
		return err
	}
	value, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	text, token := string(value), c.UUID()
	switch {
	case n.Secret == "":
		var out *secretsmanager.CreateSecretResponse
		out, err = s.cfg.Secrets.CreateSecret(c, &secretsmanager.CreateSecretRequest{
			Name: new("events!connection/" + n.Name + "/" + c.UUID()), KmsKeyId: optional.NonZero(n.Key), SecretString: &text, ClientRequestToken: &token,
		})
		if err == nil {
			n.Secret = *out.ARN
		}
	case rekeyed:
		_, err = s.cfg.Secrets.UpdateSecret(c, &secretsmanager.UpdateSecretRequest{SecretId: &n.Secret, KmsKeyId: &n.Key, SecretString: &text, ClientRequestToken: &token})
	default:
		_, err = s.cfg.Secrets.PutSecretValue(c, &secretsmanager.PutSecretValueRequest{SecretId: &n.Secret, SecretString: &text, ClientRequestToken: &token})
	}
	return ofNeighbour(err)
}

// drop deletes the secret of a connection for good.
func (s *Service) drop(c *call.Call, n *connectionRecord) error {
	if n.Secret == "" {
		return nil
	}
	_, err := s.cfg.Secrets.DeleteSecret(c, &secretsmanager.DeleteSecretRequest{SecretId: &n.Secret, ForceDeleteWithoutRecovery: new(true)})
	n.Secret = ""
	return ofNeighbour(err)
}

// ofNeighbour is what the caller is told of an error of Secrets Manager or IAM. A refusal stays one.
func ofNeighbour(err error) error {
	if m, ok := errors.AsType[wire.ModeledError](err); ok && !m.Schema().Error.Fault {
		return invalid("The credentials of the connection cannot be kept. Reason: " + wire.Message(m))
	}
	return err
}

// credentials are what a connection knows, with the rights of who has the call.
func (s *Service) credentials(c *call.Call, n *connectionRecord) (*connectionSecrets, error) {
	if n.Secret == "" {
		return s.unseal(n)
	}
	out, err := s.cfg.Secrets.GetSecretValue(c, &secretsmanager.GetSecretValueRequest{SecretId: &n.Secret})
	if err != nil {
		return nil, err
	}
	return readCredentials(optional.Value(out.SecretString))
}

// readCredentials reads what the secret of a connection says.
func readCredentials(text string) (*connectionSecrets, error) {
	secrets := new(connectionSecrets)
	if json.Unmarshal([]byte(text), secrets) != nil {
		return nil, errNoCredentials
	}
	return secrets, nil
}

// errNoCredentials has not a word of what there is.
var errNoCredentials = errors.New("the secret of a connection does not hold its credentials")

// known are the credentials that a request changes. Of a secret that is deleted, or cannot be decrypted, nothing is known any more; deleted, it is replaced.
func (s *Service) known(c *call.Call, n *connectionRecord) (*connectionSecrets, error) {
	secrets, err := s.credentials(c, n)
	_, gone := errors.AsType[*secretsmanager.ResourceNotFoundException](err)
	_, going := errors.AsType[*secretsmanager.InvalidRequestException](err)
	_, locked := errors.AsType[*secretsmanager.DecryptionFailure](err)
	if gone || going {
		n.Secret = ""
	}
	if gone || going || locked || errors.Is(err, errNoCredentials) {
		return new(connectionSecrets), nil
	}
	return secrets, ofNeighbour(err)
}

// unlock gives the credentials of a connection to send something with it. A connection whose credentials cannot be had any more is deauthorized, for the reason in lost.
func (s *Service) unlock(c *call.Call, n *connectionRecord) (secrets *connectionSecrets, lost *failure, err error) {
	if n.Secret == "" {
		secrets, err = s.unseal(n)
		return secrets, nil, err
	}
	own, err := c.AsRole(linkedRoleARN(c.Scope.Partition, n.Account), n.arn(c.Scope.Partition))
	if err == nil {
		own.Scope.Region = n.Region
		if secrets, err = s.credentials(own, n); err == nil {
			err = secrets.check(n.Type)
		}
	}
	if err == nil {
		return secrets, nil, nil
	}
	reason, refused := refusal(err)
	if !refused {
		return nil, nil, err
	}
	n.State, n.Reason, n.Token, n.TokenUntil = events.ConnectionStateDeauthorized, shorten(reason), nil, time.Time{}
	n.Generation++
	return nil, notAuthorized(reason), connectionTable.In(n.Account, n.Region).Put(c.Tx(), n)
}

// refusal is why a connection's credentials cannot be had, as opposed to something having failed.
func refusal(err error) (reason string, refused bool) {
	if errors.Is(err, call.ErrRole) {
		return "EventBridge's service-linked role is not there.", true
	}
	if errors.Is(err, errNoCredentials) {
		return "The secret does not hold the credentials of the connection.", true
	}
	if d, ok := errors.AsType[*call.Denied](err); ok {
		return d.Message, true
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok && !m.Schema().Error.Fault {
		return wire.Message(m), true
	}
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Status < 500 {
		return e.Message, true
	}
	return "", false
}

// notAuthorized is the failure of what is sent with a connection that is not authorized. It is tried again, as the connection may be updated.
func notAuthorized(reason string) *failure {
	return &failure{code: "CONNECTION_NOT_AUTHORIZED", message: "The connection of the API destination is not authorized. " + reason}
}

// unseal opens what a connection's own record has of its credentials.
func (s *Service) unseal(n *connectionRecord) (*connectionSecrets, error) {
	if n.Sealed == nil {
		return new(connectionSecrets), nil
	}
	text, err := s.box.Unwrap(n.place(), n.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if n.Secret == "" {
		return readOlder(text)
	}
	secrets := new(connectionSecrets)
	if json.Unmarshal(text, secrets) != nil {
		return nil, errUndecoded
	}
	return secrets, nil
}

// errUndecoded has not a word of what was read.
var errUndecoded = errors.New("the secrets of a connection do not decode")

// olderSecrets are connectionSecrets as the records of connections have all of them that were last changed before connections had secrets of Secrets Manager.
type olderSecrets struct {
	Username, Password, KeyName, KeyValue, ClientID, ClientSecret, AuthorizationEndpoint string
	AuthorizationMethod                                                                  events.ConnectionOAuthHttpMethod
	AuthorizationRequest, Invocation                                                     *olderParameters
}

type olderParameters struct{ Header, Query, Body []olderParameter }

type olderParameter struct {
	Key, Value string
	Secret     bool
}

func readOlder(text []byte) (*connectionSecrets, error) {
	o := new(olderSecrets)
	if json.Unmarshal(text, o) != nil {
		return nil, errUndecoded
	}
	return &connectionSecrets{
		o.Username, o.Password, o.KeyName, o.KeyValue, o.ClientID, o.ClientSecret, o.AuthorizationEndpoint, o.AuthorizationMethod, o.AuthorizationRequest.now(), o.Invocation.now(),
	}, nil
}

func (o *olderParameters) now() *connectionParameters {
	if o == nil {
		return nil
	}
	each := func(list []olderParameter) (now []connectionParameter) {
		for _, p := range list {
			now = append(now, connectionParameter(p))
		}
		return now
	}
	return &connectionParameters{each(o.Header), each(o.Query), each(o.Body)}
}

package kms

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
)

// proxyFault is what is wrong with an external key store proxy, or with what it was asked, as KMS tells it: in the same words everywhere, and with an error for each sort of operation.
//
// https://github.com/aws/aws-kms-xksproxy-api-spec/blob/main/xks_proxy_api_spec.md#error-codes has the table, and the words.
type proxyFault struct {
	message string
	store   func(message string) error // of creating and changing a store
	key     func(message string) error // of CreateKey
	code    kms.ConnectionErrorCodeType
}

// use is the error of cryptographic operations. They have the same one for everything outside, so that services which use keys need to know no other.
func (f *proxyFault) use() error { return &kms.KMSInvalidStateException{Message: f.message} }

// The errors that faults become.
func unreachable(m string) error { return &kms.XksProxyUriUnreachableException{Message: m} }
func incorrect(m string) error {
	return &kms.XksProxyIncorrectAuthenticationCredentialException{Message: m}
}
func misconfigured(m string) error    { return &kms.XksProxyInvalidConfigurationException{Message: m} }
func invalidResponse(m string) error  { return &kms.XksProxyInvalidResponseException{Message: m} }
func invalidStore(m string) error     { return &kms.CustomKeyStoreInvalidStateException{Message: m} }
func invalidKey(m string) error       { return &kms.XksKeyInvalidConfigurationException{Message: m} }
func noExternalKey(m string) error    { return &kms.XksKeyNotFoundException{Message: m} }
func invalidKeyAccess(m string) error { return &kms.KMSInvalidStateException{Message: m} }

var (
	garbled = proxyFault{
		"AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, report it to your external key store proxy administrator.",
		invalidResponse, invalidStore, kms.ConnectionErrorCodeTypeXksProxyInvalidResponse,
	}
	notEnabled = proxyFault{
		"The external key associated with this KMS key in an external key store is not enabled in the external key manager. Enable the external key in the external key manager and retry the request.",
		misconfigured, invalidKey, kms.ConnectionErrorCodeTypeXksProxyInvalidConfiguration,
	}
	rejectedText = proxyFault{
		"The external key store proxy rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid.",
		invalidResponse, invalidStore, kms.ConnectionErrorCodeTypeXksProxyInvalidResponse,
	}
	otherText = proxyFault{
		"The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is corrupted, missing, or otherwise invalid.",
		invalidResponse, invalidStore, kms.ConnectionErrorCodeTypeXksProxyInvalidResponse,
	}
	otherUsage = proxyFault{
		"The external key associated with this KMS key in an external key store does not support the requested operation. Enable the operation on the key in your external key manager, and try the request again.",
		invalidResponse, invalidKey, kms.ConnectionErrorCodeTypeXksProxyInvalidResponse,
	}
	notAuthenticated = proxyFault{
		"The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the XKS proxy authentication credentials for your external key store and update if necessary.",
		incorrect, invalidStore, kms.ConnectionErrorCodeTypeInvalidCredentials,
	}
	denied = proxyFault{
		"The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again.",
		misconfigured, invalidKeyAccess, kms.ConnectionErrorCodeTypeXksProxyAccessDenied,
	}
	keyNotFound = proxyFault{
		"The external key associated with this KMS key in an external key store was not found in its external key manager. If the external key ID associated with this KMS key is incorrect, create a new KMS key with the correct external key ID.",
		misconfigured, noExternalKey, kms.ConnectionErrorCodeTypeXksProxyInvalidConfiguration,
	}
	wrongPath = proxyFault{
		"The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary.",
		misconfigured, invalidStore, kms.ConnectionErrorCodeTypeXksProxyInvalidConfiguration,
	}
	notSupported = proxyFault{
		"The external key store proxy rejected the request because it does not support the requested operation. If you see this error repeatedly, report it to your external key store proxy administrator.",
		invalidResponse, invalidKey, kms.ConnectionErrorCodeTypeXksProxyInvalidResponse,
	}
	dependencySlow = proxyFault{
		"The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.",
		unreachable, invalidStore, kms.ConnectionErrorCodeTypeXksProxyTimedOut,
	}
	throttled = proxyFault{
		"The external key store proxy rejected the request due to a very high request rate. Reduce the frequency of your calls using KMS keys in this external key store.",
		unreachable, invalidStore, kms.ConnectionErrorCodeTypeXksProxyNotReachable,
	}
	managerAway = proxyFault{
		"The external key store proxy rejected the request because it cannot communicate with the external key manager. Verify that the external key store proxy configuration is correct and that the external key manager is available.",
		invalidResponse, invalidStore, kms.ConnectionErrorCodeTypeXksProxyNotReachable,
	}
	noConnection = proxyFault{
		"AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external key store.",
		unreachable, invalidStore, kms.ConnectionErrorCodeTypeXksProxyNotReachable,
	}
	noTLS = proxyFault{
		"AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate.",
		unreachable, invalidStore, kms.ConnectionErrorCodeTypeXksProxyInvalidTlsConfiguration,
	}
	tooSlow = proxyFault{
		"AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.",
		unreachable, invalidStore, kms.ConnectionErrorCodeTypeXksProxyTimedOut,
	}
	allDown = proxyFault{
		"The external key store proxy reports that all of its external key manager instances are unavailable. Verify that the external key manager is available.",
		unreachable, invalidStore, kms.ConnectionErrorCodeTypeXksProxyNotReachable,
	}
)

// faultOf says which fault an error of calling a proxy is. Its own error is for what is none, such as a caller who has gone away.
func (s *Service) faultOf(err error) (*proxyFault, error) {
	var accessDenied *xks.AccessDeniedException
	if e, ok := errors.AsType[*xksproxy.Error](err); ok {
		s.cfg.Report(e) // who runs the cloud is told more than the caller: which certificate, which address
		if e.Name == accessDenied.Schema().Name {
			return &denied, nil // GetHealthStatus does not have it, and proxies answer it all the same
		}
		return reaching(e.Kind), nil
	}
	if f := answered(err); f != nil {
		return f, nil
	}
	return nil, err
}

// reaching is the fault of a proxy that cannot be reached, or not be understood.
func reaching(k xksproxy.Kind) *proxyFault {
	switch k {
	case xksproxy.Unreachable:
		return &noConnection
	case xksproxy.Untrusted:
		return &noTLS
	case xksproxy.TimedOut:
		return &tooSlow
	}
	return &garbled
}

// answered is the fault that a proxy tells of, or nil.
func answered(err error) *proxyFault {
	switch err.(type) {
	case *xks.ValidationException:
		return &garbled
	case *xks.InvalidStateException:
		return &notEnabled
	case *xks.InvalidCiphertextException:
		return &rejectedText
	case *xks.InvalidKeyUsageException:
		return &otherUsage
	case *xks.AuthenticationFailedException:
		return &notAuthenticated
	case *xks.AccessDeniedException:
		return &denied
	case *xks.KeyNotFoundException:
		return &keyNotFound
	case *xks.InvalidUriPathException:
		return &wrongPath
	case *xks.UnsupportedOperationException:
		return &notSupported
	case *xks.DependencyTimeoutException:
		return &dependencySlow
	case *xks.ThrottlingException:
		return &throttled
	case *xks.InternalException:
		return &managerAway
	}
	return nil
}

// unusable is the error of a cryptographic operation whose proxy did not do what it was asked.
func (s *Service) unusable(err error) error {
	f, err := s.faultOf(err)
	if err != nil {
		return err
	}
	return f.use()
}

package sqs

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// dataKey is a data key that KMS made, as it is kept with what it encrypts.
type dataKey struct {
	Key    string // ARN of the KMS key
	Queue  string // ARN, the encryption context
	Sealed []byte // encrypted by KMS
}

// keyContext is the encryption context of the data keys of a queue:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-server-side-encryption.html
func keyContext(queueARN string) map[string]string { return map[string]string{"aws:sqs:arn": queueARN} }

// dataKeys are the data keys in the clear that may still be used without asking KMS. Each belongs to the principal that KMS gave it to: another one has to ask, as in AWS.
type dataKeys struct {
	mu   sync.Mutex // guards kept
	kept map[dataKeyUse]keptKey
}

// dataKeyUse is who uses what: a queue to encrypt for, or a key to decrypt with.
type dataKeyUse struct{ principal, queue, key, sealed string }

type keptKey struct {
	dataKey
	aead    cipher.AEAD
	expires time.Time
}

// maxDataKeys bounds what is kept. Beyond, KMS is asked again.
const maxDataKeys = 10_000

func (k *dataKeys) get(u dataKeyUse, now time.Time) (keptKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept, ok := k.kept[u]
	if ok && !now.Before(kept.expires) {
		delete(k.kept, u)
		return keptKey{}, false
	}
	return kept, ok
}

func (k *dataKeys) put(u dataKeyUse, key keptKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = make(map[dataKeyUse]keptKey)
	}
	for old := range k.kept { // any one
		if len(k.kept) < maxDataKeys {
			break
		}
		delete(k.kept, old)
	}
	k.kept[u] = key
}

// keyName is the KMS key of a queue as KMS is asked for it: what names no account is of the queue's.
func (q *queue) keyName() string {
	name := q.Settings.KmsMasterKeyID
	if arn.Is(name) {
		return name
	}
	if len(name) < len("alias/") || name[:len("alias/")] != "alias/" {
		name = "key/" + name
	}
	return "arn:" + q.c.Scope.Partition + ":kms:" + q.Region + ":" + q.Account + ":" + name
}

func (q *queue) reuse() time.Duration {
	return time.Duration(q.Settings.KmsDataKeyReusePeriodSeconds) * time.Second
}

func (s *Service) encryptByKMS(q *queue, id string, clear []byte) ([]byte, error) {
	key, err := s.encryptionKey(q)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(key.dataKey)
	if err != nil {
		return nil, err
	}
	return key.aead.Seal(framed([]byte{byKMS}, head), nil, clear, []byte(id)), nil
}

// encryptionKey is the data key that the queue's messages are encrypted with at the moment, for the caller.
func (s *Service) encryptionKey(q *queue) (keptKey, error) {
	use := dataKeyUse{principal: principal(q.c), queue: q.ID, key: q.keyName()}
	if key, ok := s.keys.get(use, q.c.Time); ok {
		return key, nil
	}
	key := keptKey{dataKey: dataKey{Queue: q.arn()}, expires: q.c.Time.Add(q.reuse())}
	out, err := s.cfg.KMS.GenerateDataKey(q.c, &kms.GenerateDataKeyRequest{
		KeyId: new(use.key), KeySpec: kms.DataKeySpecAes256, EncryptionContext: keyContext(key.Queue),
	})
	if err != nil {
		return keptKey{}, ofKMS(err)
	}
	key.Key, key.Sealed = optional.Value(out.KeyId), out.CiphertextBlob
	if key.aead, err = newAEAD(out.Plaintext); err != nil {
		return keptKey{}, err
	}
	// A call that fails later must not leave the key to others, whose records would not tell of it.
	q.tx().OnCommitted(func() {
		s.keys.put(use, key)
		use.queue, use.sealed, use.key = "", string(key.Sealed), ""
		s.keys.put(use, key)
	})
	return key, nil
}

func (s *Service) decryptByKMS(q *queue, id string, b []byte) ([]byte, error) {
	head, sealed, err := unframed(b)
	if err != nil {
		return nil, err
	}
	var d dataKey
	if json.Unmarshal(head, &d) != nil {
		return nil, errBody
	}
	use := dataKeyUse{principal: principal(q.c), sealed: string(d.Sealed)}
	key, ok := s.keys.get(use, q.c.Time)
	if !ok {
		key = keptKey{dataKey: d, expires: q.c.Time.Add(q.reuse())}
		out, err := s.cfg.KMS.Decrypt(q.c, &kms.DecryptRequest{KeyId: &d.Key, CiphertextBlob: d.Sealed, EncryptionContext: keyContext(d.Queue)})
		if err != nil {
			return nil, ofKMS(err)
		}
		if key.aead, err = newAEAD(out.Plaintext); err != nil {
			return nil, err
		}
		q.tx().OnCommitted(func() { s.keys.put(use, key) })
	}
	clear, err := key.aead.Open(nil, nil, sealed, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("decrypting a message: %w", errBody)
	}
	return clear, nil
}

// principal is who a data key is given to.
func principal(c *call.Call) string {
	return c.Caller.UserID() + "|" + c.Caller.ARN + "|" + c.Caller.ServiceName
}

// newAEAD is AES-256-GCM with random nonces, which the ciphertext begins with. A data key is used for a day at most, far below the 2^32 messages for which random nonces are safe.
func newAEAD(key []byte) (cipher.AEAD, error) {
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// ofKMS is what SQS answers for an error of KMS.
func ofKMS(err error) error {
	if denied, ok := errors.AsType[*call.Denied](err); ok {
		return &sqs.KmsAccessDenied{Message: denied.Message + " (Service: Kms; Status Code: 400; Error Code: AccessDeniedException)"}
	}
	m, ok := errors.AsType[wire.ModeledError](err)
	if !ok {
		return err
	}
	message := wire.Message(m)
	switch m.Schema().Name {
	case "NotFoundException":
		return &sqs.KmsNotFound{Message: message}
	case "DisabledException":
		return &sqs.KmsDisabled{Message: message}
	case "KMSInvalidStateException":
		return &sqs.KmsInvalidState{Message: message}
	case "InvalidKeyUsageException":
		return &sqs.KmsInvalidKeyUsage{Message: message}
	}
	return err
}

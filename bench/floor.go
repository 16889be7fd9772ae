package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

// The floors know one access key.
const (
	floorKey    = "AKIAIOSFODNN7EXAMPLE"
	floorSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// floor serves a floor on a free port and prints where.
func floor(kind string) {
	handlers := map[string]http.HandlerFunc{"answer": answer, "encrypt": encryptFloor()}
	h := handlers[kind]
	if h == nil {
		panic("no floor " + kind)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + l.Addr().String())
	panic(http.Serve(l, h))
}

// answer reads a body and answers one of the same size.
func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = w.Write(body)
}

// encryptFloor verifies the signature, decodes the JSON, does one AES-GCM, and answers as KMS does.
func encryptFloor() http.HandlerFunc {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	verifier := new(sigv4.Verifier)
	type request struct {
		KeyID             string `json:"KeyId"`
		Plaintext         []byte
		EncryptionContext map[string]string
	}
	type response struct {
		CiphertextBlob      []byte
		KeyID               string `json:"KeyId"`
		EncryptionAlgorithm string
	}
	return func(w http.ResponseWriter, r *http.Request) {
		fail := func(err error) { http.Error(w, err.Error(), http.StatusBadRequest) }
		body, err := io.ReadAll(r.Body)
		if err != nil {
			fail(err)
			return
		}
		auth, err := sigv4.Parse(r)
		if err == nil {
			err = auth.Check(sigv4.Expect{Now: time.Now(), Region: "us-east-1", Service: "kms"})
		}
		if err == nil {
			err = verifier.Verify(r, auth, floorSecret, body)
		}
		if err != nil {
			fail(err)
			return
		}
		var in request
		if err := json.Unmarshal(body, &in); err != nil {
			fail(err)
			return
		}
		blob := make([]byte, 12, 12+len(in.Plaintext)+16)
		rand.Read(blob)
		blob = aead.Seal(blob, blob, in.Plaintext, nil)
		out, err := json.Marshal(response{blob, in.KeyID, "SYMMETRIC_DEFAULT"})
		if err != nil {
			fail(err)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write(out)
	}
}

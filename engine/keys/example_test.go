package keys_test

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func Example() {
	key, err := keys.Generate(keys.SymmetricDefault, nil)
	if err != nil {
		panic(err)
	}
	context := map[string]string{"tenant": "blue"}
	blob, err := key.EncryptBlob(nil, keys.Header{Key: "1234abcd", Material: "first"}, context, []byte("secret"), nil)
	if err != nil {
		panic(err)
	}

	header, err := keys.ParseBlob(blob)
	if err != nil {
		panic(err)
	}
	plaintext, err := key.DecryptBlob(nil, blob, context)
	fmt.Printf("%s of key %s: %s, %v\n", header.Material, header.Key, plaintext, err)

	_, err = key.DecryptBlob(nil, blob, map[string]string{"tenant": "red"})
	fmt.Println(err)
	// Output:
	// first of key 1234abcd: secret, <nil>
	// invalid ciphertext
}

func ExampleKey_Sign() {
	key, err := keys.Generate(keys.NISTP256, nil)
	if err != nil {
		panic(err)
	}
	signature, err := key.Sign(keys.ECDSASHA256, keys.Raw, []byte("pay 10"))
	if err != nil {
		panic(err)
	}
	fmt.Println(key.Verify(keys.ECDSASHA256, keys.Raw, []byte("pay 10"), signature))
	fmt.Println(key.Verify(keys.ECDSASHA256, keys.Raw, []byte("pay 99"), signature))
	// Output:
	// <nil>
	// invalid signature
}

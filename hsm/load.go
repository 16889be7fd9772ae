//go:build pkcs11 && cgo

package hsm

/*
#cgo linux LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// The list of a module's functions, as version 2 of the standard lays it out and all later ones begin: C_Decrypt is the 34th of them, counted from 0.
struct functions {
	unsigned char version[2];
	void (*function[68])(void);
};

// functions returns the list of a library, or NULL. What is not the library of a token is closed again.
static struct functions *functions(const char *path) {
	void *library = dlopen(path, RTLD_LAZY);
	if (!library) return NULL;
	unsigned long (*get)(struct functions **) = (unsigned long (*)(struct functions **))dlsym(library, "C_GetFunctionList");
	struct functions *list = NULL;
	if (get && get(&list) == 0 && list && list->version[0] == 2) return list;
	dlclose(library);
	return NULL;
}

static unsigned long decrypt(struct functions *list, unsigned long session, void *in, unsigned long n, void *out, unsigned long *m) {
	unsigned long (*f)(unsigned long, void *, unsigned long, void *, unsigned long *) =
		(unsigned long (*)(unsigned long, void *, unsigned long, void *, unsigned long *))list->function[34];
	return f(session, in, n, out, m);
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// loaded is the library of a file.
type loaded struct {
	*pkcs11.Ctx
	functions *C.struct_functions
}

func loadLibrary(path string) (library, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	functions := C.functions(name)
	if functions == nil {
		return nil, fmt.Errorf("%w: %s cannot be loaded", ErrModule, path)
	}
	return loaded{pkcs11.New(path), functions}, nil
}

// Decrypt is the Decrypt of *pkcs11.Ctx, which never frees the memory for the plaintext of a ciphertext that is refused: whoever may decrypt could take all there is. This
// one has the plaintext, which is not longer, written to memory of Go.
func (l loaded) Decrypt(s pkcs11.SessionHandle, ciphertext []byte) ([]byte, error) {
	plain := make([]byte, len(ciphertext))
	n := C.ulong(len(plain))
	code := C.decrypt(l.functions, C.ulong(s), unsafe.Pointer(unsafe.SliceData(ciphertext)), C.ulong(len(ciphertext)), unsafe.Pointer(unsafe.SliceData(plain)), &n)
	if code != pkcs11.CKR_OK {
		return nil, pkcs11.Error(code)
	}
	return plain[:min(int(n), len(plain))], nil
}

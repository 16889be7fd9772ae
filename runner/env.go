package runner

import (
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// What is inside of a sandbox.
const (
	taskDir    = "/var/task"
	runtimeDir = "/var/runtime"
	apiPort    = 9001
	cloudPort  = 4566
	dnsPort    = 53
	apiAddress = "127.0.0.1:9001"
	cloudURL   = "http://127.0.0.1:4566"
)

//go:embed bootstrap/bootstrap.py
var pythonBootstrap string

//go:embed bootstrap/bootstrap.mjs
var nodeBootstrap string

// An UnsupportedError says that this host does not run a runtime or an architecture.
type UnsupportedError struct{ Reason string }

func (e *UnsupportedError) Error() string { return e.Reason }

// language is how a runtime's functions are started.
type language struct {
	programs []string // tried in turn
	args     []string
	files    map[string]string // in /var/runtime
	version  string            // for the log
	env      map[string]string
}

// Supports is nil if functions of a runtime and an architecture (empty: the host's) can be run here, as far as the interpreter goes: see Available for the rest.
func (r *Runner) Supports(runtimeName, architecture string) error {
	_, err := languageOf(runtimeName, architecture, 128)
	return err
}

func languageOf(name, architecture string, memory int) (*language, error) {
	here := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	if architecture != "" && architecture != here {
		return nil, &UnsupportedError{fmt.Sprintf("this host runs functions of architecture %s, not %s", here, architecture)}
	}
	switch {
	case name == "provided.al2023" || name == "provided.al2":
		return &language{programs: []string{taskDir + "/bootstrap", "/opt/bootstrap"}, version: strings.Replace(name, ".", ":", 1)}, nil
	case strings.HasPrefix(name, "python3."):
		path, err := interpreter(name, "python3")
		if err != nil {
			return nil, err
		}
		return &language{
			programs: []string{path}, args: []string{"-B", "-s", "-u", runtimeDir + "/bootstrap.py"}, files: map[string]string{"bootstrap.py": pythonBootstrap},
			version: "python:" + strings.TrimPrefix(name, "python") + ", run by the host's " + path,
			env:     map[string]string{"AWS_EXECUTION_ENV": "AWS_Lambda_" + name, "PYTHONPATH": runtimeDir},
		}, nil
	case strings.HasPrefix(name, "nodejs") && strings.HasSuffix(name, ".x"):
		path, err := interpreter("node", "nodejs")
		if err != nil {
			return nil, err
		}
		major := strings.TrimSuffix(strings.TrimPrefix(name, "nodejs"), ".x")
		return &language{
			programs: []string{path}, args: []string{fmt.Sprintf("--max-old-space-size=%d", memory*9/10), runtimeDir + "/bootstrap.mjs"}, files: map[string]string{"bootstrap.mjs": nodeBootstrap},
			version: "nodejs:" + major + ", run by the host's " + path,
			env:     map[string]string{"AWS_EXECUTION_ENV": "AWS_Lambda_" + name, "NODE_PATH": "/opt/nodejs/node" + major + "/node_modules:/opt/nodejs/node_modules:" + runtimeDir + "/node_modules"},
		}, nil
	}
	return nil, &UnsupportedError{fmt.Sprintf("functions of runtime %q cannot be run: use provided.al2023 or provided.al2, or python3.N or nodejsN.x where the host has the interpreter", name)}
}

// interpreter finds a program of the host that functions see. A version of Python that is not there gives way to the host's own: the log says which it is.
func interpreter(names ...string) (string, error) {
	for _, n := range names {
		for _, dir := range []string{"/usr/bin", "/usr/local/bin", "/bin"} {
			path, err := filepath.EvalSymlinks(filepath.Join(dir, n))
			if err != nil || !strings.HasPrefix(path, "/usr/") && !strings.HasPrefix(path, "/bin/") {
				continue
			}
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o001 != 0 {
				return path, nil
			}
		}
	}
	return "", &UnsupportedError{fmt.Sprintf("this host has no interpreter %s in /usr/bin or /usr/local/bin", names[0])}
}

// environment is what a function finds in its environment, sorted.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
func environment(f *Function, l *language, c *Credentials, stream string, cloud bool) []string {
	env := map[string]string{
		"TZ": ":UTC", "LANG": "en_US.UTF-8",
		"PATH":            "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
	}
	if cloud {
		env["AWS_ENDPOINT_URL"] = cloudURL
	}
	maps.Copy(env, l.env)
	maps.Copy(env, f.Environment)
	maps.Copy(env, map[string]string{
		"_HANDLER": f.Handler, "LAMBDA_TASK_ROOT": taskDir, "LAMBDA_RUNTIME_DIR": runtimeDir,
		"AWS_REGION": f.Region, "AWS_DEFAULT_REGION": f.Region,
		"AWS_LAMBDA_RUNTIME_API": apiAddress, "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": f.Version, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.Memory),
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/" + f.Name, "AWS_LAMBDA_LOG_STREAM_NAME": stream,
	})
	if c != nil {
		maps.Copy(env, map[string]string{"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": c.SecretAccessKey, "AWS_SESSION_TOKEN": c.SessionToken})
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

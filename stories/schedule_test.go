package stories_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

// Schedules fire each time once, also when the server is killed in between, again and again.
func TestSchedulesOverKills(t *testing.T) {
	t.Parallel()
	p := newServer(t, "--dev").start()
	cfg := p.config("us-east-1")
	cfg.Credentials = credentials.NewStaticCredentialsProvider("000000000000", "dev", "") // the root user in dev mode
	cfg.Retryer = func() aws.Retryer {                                                    // the client closes connections to a server that was killed, at times under a request to the next one
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary { return aws.BoolTernary(errors.Is(err, net.ErrClosed)) }))
		})
	}
	users, schedules := iam.NewFromConfig(cfg), scheduler.NewFromConfig(cfg)
	role, err := users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("runner"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("runner"), PolicyName: aws.String("all"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:CreateUser","Resource":"*"}]}`)}); err != nil {
		t.Fatal(err)
	}
	// Each invocation makes a user that has its execution in its name, and its time in its path.
	start := time.Now().UTC().Truncate(time.Hour).Add(2 * time.Hour)
	const count, hours = 5, 48
	for i := range count {
		_, err := schedules.CreateSchedule(t.Context(), &scheduler.CreateScheduleInput{
			Name: aws.String(fmt.Sprint("s", i)), ScheduleExpression: aws.String(fmt.Sprintf("cron(%d * * * ? *)", 10*i)), StartDate: &start, EndDate: aws.Time(start.Add(hours*time.Hour - time.Minute)),
			FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff},
			Target: &types.Target{Arn: aws.String("arn:aws:scheduler:::aws-sdk:iam:createUser"), RoleArn: role.Role.Arn,
				Input: aws.String(fmt.Sprintf(`{"UserName":"s%d-<aws.scheduler.execution-id>","Path":"/<aws.scheduler.scheduled-time>/"}`, i))},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Moves add up, and go beyond the schedules' end.
	advance := func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url()+"/_holdfast/clock", strings.NewReader(fmt.Sprintf(`{"advance":"%dh"}`, hours+3)))
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("the answer is %s", answer.Status)
		}
		return nil
	}
	for range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = advance(ctx) }()
		time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond) // so that the kill comes at various steps
		p.kill()
		cancel()
		<-done
		p.start()
	}
	if err := advance(t.Context()); err != nil {
		t.Fatalf("moving the clock: %v", err)
	}
	made := make(map[string]int)
	for pages := iam.NewListUsersPaginator(users, &iam.ListUsersInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Users {
			if name, _, ok := strings.Cut(*u.UserName, "-"); ok {
				made[name+*u.Path]++
			}
		}
	}
	for i := range count {
		for h := range hours {
			at := fmt.Sprintf("s%d/%s/", i, start.Add(time.Duration(h)*time.Hour+time.Duration(10*i)*time.Minute).Format(time.RFC3339))
			if made[at] != 1 {
				t.Errorf("%s was invoked %d times", at, made[at])
			}
			delete(made, at)
		}
	}
	if len(made) > 0 {
		t.Errorf("invoked as well: %v", made)
	}
}

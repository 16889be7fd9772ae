package sns_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

const walkTopic = "arn:aws:sns:us-east-1:" + home + ":walk"

// walked is a request of an operation, and the one permission that it needs.
type walked struct {
	name, action, on string
	run              func(h *house, c *sns.Client) error
}

func answer[T any](_ T, err error) error { return err }

// walkedSubscription is the subscription that the walk is about.
func (h *house) walkedSubscription() *string {
	l := must(h.ListSubscriptions(h.t.Context(), nil))(h.t).Subscriptions
	if len(l) == 0 {
		return aws.String(walkTopic + ":00000000-0000-0000-0000-000000000000")
	}
	return l[0].SubscriptionArn
}

var walks = []walked{
	{"CreateTopic", "sns:CreateTopic", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.CreateTopic(h.t.Context(), &sns.CreateTopicInput{Name: aws.String("walk")}))
	}},
	{"ListTopics", "sns:ListTopics", "*", func(h *house, c *sns.Client) error { return answer(c.ListTopics(h.t.Context(), nil)) }},
	{"GetTopicAttributes", "sns:GetTopicAttributes", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.GetTopicAttributes(h.t.Context(), &sns.GetTopicAttributesInput{TopicArn: aws.String(walkTopic)}))
	}},
	{"SetTopicAttributes", "sns:SetTopicAttributes", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.SetTopicAttributes(h.t.Context(), &sns.SetTopicAttributesInput{
			TopicArn: aws.String(walkTopic), AttributeName: aws.String("DisplayName"), AttributeValue: aws.String("Walk"),
		}))
	}},
	{"AddPermission", "sns:AddPermission", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.AddPermission(h.t.Context(), &sns.AddPermissionInput{
			TopicArn: aws.String(walkTopic), Label: aws.String("l"), AWSAccountId: []string{other}, ActionName: []string{"Publish"},
		}))
	}},
	{"RemovePermission", "sns:RemovePermission", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.RemovePermission(h.t.Context(), &sns.RemovePermissionInput{TopicArn: aws.String(walkTopic), Label: aws.String("l")}))
	}},
	{"TagResource", "sns:TagResource", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.TagResource(h.t.Context(), &sns.TagResourceInput{ResourceArn: aws.String(walkTopic), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))
	}},
	{"ListTagsForResource", "sns:ListTagsForResource", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.ListTagsForResource(h.t.Context(), &sns.ListTagsForResourceInput{ResourceArn: aws.String(walkTopic)}))
	}},
	{"UntagResource", "sns:UntagResource", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.UntagResource(h.t.Context(), &sns.UntagResourceInput{ResourceArn: aws.String(walkTopic), TagKeys: []string{"k"}}))
	}},
	{"Subscribe", "sns:Subscribe", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.Subscribe(h.t.Context(), &sns.SubscribeInput{
			TopicArn: aws.String(walkTopic), Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:us-east-1:" + home + ":walk"),
		}))
	}},
	{"ListSubscriptions", "sns:ListSubscriptions", "*", func(h *house, c *sns.Client) error { return answer(c.ListSubscriptions(h.t.Context(), nil)) }},
	{"ListSubscriptionsByTopic", "sns:ListSubscriptionsByTopic", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.ListSubscriptionsByTopic(h.t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: aws.String(walkTopic)}))
	}},
	{"GetSubscriptionAttributes", "sns:GetSubscriptionAttributes", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.GetSubscriptionAttributes(h.t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: h.walkedSubscription()}))
	}},
	{"SetSubscriptionAttributes", "sns:SetSubscriptionAttributes", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.SetSubscriptionAttributes(h.t.Context(), &sns.SetSubscriptionAttributesInput{
			SubscriptionArn: h.walkedSubscription(), AttributeName: aws.String("RawMessageDelivery"), AttributeValue: aws.String("true"),
		}))
	}},
	{"Publish", "sns:Publish", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.Publish(h.t.Context(), &sns.PublishInput{TopicArn: aws.String(walkTopic), Message: aws.String("a secret"), Subject: aws.String("a secret")}))
	}},
	{"PublishBatch", "sns:Publish", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.PublishBatch(h.t.Context(), &sns.PublishBatchInput{
			TopicArn: aws.String(walkTopic), PublishBatchRequestEntries: []types.PublishBatchRequestEntry{{Id: aws.String("1"), Message: aws.String("a secret")}},
		}))
	}},
	{"Unsubscribe", "sns:Unsubscribe", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.Unsubscribe(h.t.Context(), &sns.UnsubscribeInput{SubscriptionArn: h.walkedSubscription()}))
	}},
	{"ConfirmSubscription", "sns:ConfirmSubscription", walkTopic, func(h *house, c *sns.Client) error {
		w := newWebhook(h.t)
		h.subscribe(walkTopic, "http", w.URL)
		token := open(h.t, w.next().body).Token
		return answer(c.ConfirmSubscription(h.t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: aws.String(walkTopic), Token: &token}))
	}},
	{"DeleteTopic", "sns:DeleteTopic", walkTopic, func(h *house, c *sns.Client) error {
		return answer(c.DeleteTopic(h.t.Context(), &sns.DeleteTopicInput{TopicArn: aws.String(walkTopic)}))
	}},
}

func allow(action, on string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + on + `"}]}`
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who := "walker-" + o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + o.action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + o.action + `","Resource":"arn:aws:sns:us-east-1:` + home + `:elsewhere"}]}`
			err := o.run(h, sns.NewFromConfig(h.User(home, who, others)))
			wantError(t, err, "AuthorizationError", 403, "is not authorized to perform: "+o.action)
			if err := o.run(h, sns.NewFromConfig(h.User(home, who, allow(o.action, o.on)))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AuthorizationError", ""} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				if e.EventSource != "sns.amazonaws.com" || strings.Contains(string(e.Raw), "a secret") || strings.Contains(string(e.Raw), `"eventCategory":"Data"`) != (o.action == "sns:Publish") {
					t.Errorf("recorded as %s", e.Raw)
				}
				if o.on != "*" && (len(e.Resources) != 1 || e.Resources[0].ARN != o.on || e.Resources[0].Type != "AWS::SNS::Topic" || e.Resources[0].AccountID != home) {
					t.Errorf("the record has the resources %v", e.Resources)
				}
			}
		})
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(user, operation, code string) (e cloudtest.Event, found bool) {
	for _, e := range slices.Backward(h.Trail(home)) {
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}

package apigen

import (
	"fmt"
	"strings"
)

// queryProtocol is what a model does not say of the query protocol that its service speaks beside another one.
type queryProtocol struct {
	namespace string

	// names are those of the elements of lists, of the keys and values of maps with a comma between, and of members of structures where they are others than in
	// the model. All lists and maps that have one are flat.
	names map[string]string

	errors map[string]queryError // that are spelt otherwise, or have another status
}

// queryError is an error in the query protocol. No status is 400.
type queryError struct {
	code   string
	status int
}

// sqsQuery is the query protocol of SQS, as its models had it until 2023 and its clients of those days speak it.
var sqsQuery = &queryProtocol{
	namespace: "http://queue.amazonaws.com/doc/2012-11-05/",
	names: map[string]string{
		"AWSAccountIdList":          "AWSAccountId",
		"ActionNameList":            "ActionName",
		"AttributeNameList":         "AttributeName",
		"BatchResultErrorEntryList": "BatchResultErrorEntry",
		"BinaryList":                "BinaryListValue",
		"ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
		"ChangeMessageVisibilityBatchResultEntryList":  "ChangeMessageVisibilityBatchResultEntry",
		"DeleteMessageBatchRequestEntryList":           "DeleteMessageBatchRequestEntry",
		"DeleteMessageBatchResultEntryList":            "DeleteMessageBatchResultEntry",
		"ListMessageMoveTasksResultEntryList":          "ListMessageMoveTasksResultEntry",
		"MessageAttributeNameList":                     "MessageAttributeName",
		"MessageList":                                  "Message",
		"MessageSystemAttributeList":                   "MessageSystemAttributeName",
		"QueueUrlList":                                 "QueueUrl",
		"SendMessageBatchRequestEntryList":             "SendMessageBatchRequestEntry",
		"SendMessageBatchResultEntryList":              "SendMessageBatchResultEntry",
		"StringList":                                   "StringListValue",
		"TagKeyList":                                   "TagKey",

		"MessageBodyAttributeMap":       "Name,Value",
		"MessageBodySystemAttributeMap": "Name,Value",
		"MessageSystemAttributeMap":     "Name,Value",
		"QueueAttributeMap":             "Name,Value",
		"TagMap":                        "Key,Value",

		"CreateQueueRequest.Attributes":                        "Attribute",
		"CreateQueueRequest.tags":                              "Tag",
		"GetQueueAttributesResult.Attributes":                  "Attribute",
		"ListQueueTagsResult.Tags":                             "Tag",
		"Message.Attributes":                                   "Attribute",
		"Message.MessageAttributes":                            "MessageAttribute",
		"SendMessageBatchRequestEntry.MessageAttributes":       "MessageAttribute",
		"SendMessageBatchRequestEntry.MessageSystemAttributes": "MessageSystemAttribute",
		"SendMessageRequest.MessageAttributes":                 "MessageAttribute",
		"SendMessageRequest.MessageSystemAttributes":           "MessageSystemAttribute",
		"SetQueueAttributesRequest.Attributes":                 "Attribute",
		"TagQueueRequest.Tags":                                 "Tag",
	},
	errors: map[string]queryError{
		"BatchEntryIdsNotDistinct":     {code: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"},
		"BatchRequestTooLong":          {code: "AWS.SimpleQueueService.BatchRequestTooLong"},
		"EmptyBatchRequest":            {code: "AWS.SimpleQueueService.EmptyBatchRequest"},
		"InvalidAddress":               {status: 404},
		"InvalidBatchEntryId":          {code: "AWS.SimpleQueueService.InvalidBatchEntryId"},
		"InvalidSecurity":              {status: 403},
		"KmsAccessDenied":              {code: "KMS.AccessDeniedException"},
		"KmsDisabled":                  {code: "KMS.DisabledException"},
		"KmsInvalidKeyUsage":           {code: "KMS.InvalidKeyUsageException"},
		"KmsInvalidState":              {code: "KMS.InvalidStateException"},
		"KmsNotFound":                  {code: "KMS.NotFoundException"},
		"KmsOptInRequired":             {code: "KMS.OptInRequired", status: 403},
		"KmsThrottled":                 {code: "KMS.ThrottlingException"},
		"MessageNotInflight":           {code: "AWS.SimpleQueueService.MessageNotInflight"},
		"OverLimit":                    {status: 403},
		"PurgeQueueInProgress":         {code: "AWS.SimpleQueueService.PurgeQueueInProgress", status: 403},
		"QueueDeletedRecently":         {code: "AWS.SimpleQueueService.QueueDeletedRecently"},
		"QueueDoesNotExist":            {code: "AWS.SimpleQueueService.NonExistentQueue"},
		"QueueNameExists":              {code: "QueueAlreadyExists"},
		"ReceiptHandleIsInvalid":       {status: 404},
		"RequestThrottled":             {status: 403},
		"ResourceNotFoundException":    {status: 404},
		"TooManyEntriesInBatchRequest": {code: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"},
		"UnsupportedOperation":         {code: "AWS.SimpleQueueService.UnsupportedOperation"},
	},
}

// addTo completes a model.
func (q *queryProtocol) addTo(m *Model) error {
	m.Metadata.Protocols = append(m.Metadata.Protocols, "query")
	m.Metadata.XMLNamespace = q.namespace
	for name, op := range m.Operations {
		if op.Output.Shape == name+"Result" { // others have no output
			op.Output.ResultWrapper = name + "Result"
		}
	}
	for place, name := range q.names {
		if err := q.name(m, place, name); err != nil {
			return err
		}
	}
	for name, e := range q.errors {
		s := m.Shapes[name]
		if s == nil {
			return fmt.Errorf("the model of %s has no error %s", m.Folder, name)
		}
		if s.Error == nil {
			s.Error = new(ErrorTrait)
		}
		s.Error.Code, s.Error.queryStatus = e.code, e.status
	}
	return nil
}

// name gives what stands at a place its name in the query protocol.
func (q *queryProtocol) name(m *Model, place, name string) error {
	structure, member, isMember := strings.Cut(place, ".")
	s := m.Shapes[structure]
	switch {
	case s == nil:
	case isMember:
		if at := s.Members.find(member); at != nil {
			at.QueryName = name
			return nil
		}
	case s.Type == "list":
		s.Member.LocationName = name
		return nil
	case s.Type == "map":
		s.Key.LocationName, s.Value.LocationName, _ = strings.Cut(name, ",")
		return nil
	}
	return fmt.Errorf("the model of %s has no %s", m.Folder, place)
}

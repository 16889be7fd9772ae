package organizations

import (
	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The texts of errors that several operations answer with.

func notAllowed() error {
	return &organizations.AccessDeniedException{Message: "You don't have permissions to access this resource."}
}

func noAccount() error {
	return &organizations.AccountNotFoundException{Message: "You specified an account that doesn't exist."}
}

func noParent() error {
	return &organizations.ParentNotFoundException{Message: "You specified parent that doesn't exist."}
}

func noUnit() error {
	return &organizations.OrganizationalUnitNotFoundException{Message: "You specified an organizational unit that doesn't exist."}
}

func noPolicy() error {
	return &organizations.PolicyNotFoundException{Message: "You specified a policy that doesn't exist."}
}

func noTarget() error {
	return &organizations.TargetNotFoundException{Message: "You specified a target that doesn't exist."}
}

func noRoot() error {
	return &organizations.RootNotFoundException{Message: "You specified a root that doesn't exist."}
}

func noHandshake() error {
	return &organizations.HandshakeNotFoundException{Message: "You specified a handshake that doesn't exist."}
}

func managementStays() error {
	return &organizations.MasterCannotLeaveOrganizationException{Message: "You can't remove a management account from an organization."}
}

func invalid(reason organizations.InvalidInputExceptionReason, message string) error {
	return &organizations.InvalidInputException{Message: message, Reason: reason}
}

func constraint(reason organizations.ConstraintViolationExceptionReason, message string) error {
	return &organizations.ConstraintViolationException{Message: message, Reason: reason}
}

func handshakeConstraint(reason organizations.HandshakeConstraintViolationExceptionReason, message string) error {
	return &organizations.HandshakeConstraintViolationException{Message: message, Reason: reason}
}

// breach is what Organizations says of an input that breaks a constraint of its model: it does not tell which.
func breach(e *wire.Error) wire.ModeledError {
	answer := func(reason organizations.InvalidInputExceptionReason, message string) wire.ModeledError {
		return &organizations.InvalidInputException{Message: message, Reason: reason}
	}
	switch e.Broken {
	case wire.RuleRequired:
		return answer(organizations.InvalidInputExceptionReasonInputRequired, "You must include a value for all required parameters.")
	case wire.RulePattern:
		return answer(organizations.InvalidInputExceptionReasonInvalidPattern, "You provided a value that does not match the required pattern.")
	case wire.RuleEnum:
		return answer(organizations.InvalidInputExceptionReasonInvalidEnum, "You specified an invalid value.")
	case wire.RuleMinLength:
		return answer(organizations.InvalidInputExceptionReasonMinLengthExceeded, "You provided a string parameter that is shorter than allowed.")
	case wire.RuleMaxLength:
		return answer(organizations.InvalidInputExceptionReasonMaxLengthExceeded, "You provided a string parameter that is longer than allowed.")
	case wire.RuleMinValue:
		return answer(organizations.InvalidInputExceptionReasonMinValueExceeded, "You provided a numeric value that is smaller than allowed.")
	case wire.RuleMaxValue:
		return answer(organizations.InvalidInputExceptionReasonMaxValueExceeded, "You provided a numeric value that is larger than allowed.")
	}
	return answer(organizations.InvalidInputExceptionReasonInvalidListMember, "You provided a list to a parameter that contains at least one invalid value.")
}

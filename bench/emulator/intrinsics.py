"""Resolves the intrinsic functions of a CloudFormation template, those that can be known without AWS."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bench.emulator.spec import ACCOUNT

NO_VALUE = object()
DYNAMIC = "{{resolve:"
QUEUE = "AWS::SQS::Queue"
_NAME_IN_TEXT = re.compile(r"\$\{(!?)([^}]+)\}")


class Intrinsics:
    """Ref, Fn::Sub, Fn::GetAtt of a queue, Fn::If, Fn::Join and the conditions; any other raises ValueError."""

    def __init__(
        self,
        document: Mapping[str, Any],
        *,
        region: str,
        stack: str,
        parameters: Mapping[str, str],
    ) -> None:
        declared = document.get("Parameters", {})
        if unknown := parameters.keys() - declared.keys():
            raise ValueError(f"The template has no parameter {', '.join(sorted(unknown))}.")
        self._resources: Mapping[str, Any] = document.get("Resources", {})
        self._conditions: Mapping[str, Any] = document.get("Conditions", {})
        self._declared = declared
        self._values: dict[str, Any] = {
            "AWS::Region": region,
            "AWS::StackName": stack,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NO_VALUE,
            **{name: each["Default"] for name, each in declared.items() if "Default" in each},
            **parameters,
        }
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::Sub": self._sub,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Join": lambda given: given[0].join(str(part) for part in self.resolve(given[1])),
            "Fn::Equals": lambda given: str(self.resolve(given[0])) == str(self.resolve(given[1])),
            "Fn::Not": lambda given: not self.resolve(given[0]),
            "Fn::And": lambda given: all(self.resolve(each) for each in given),
            "Fn::Or": lambda given: any(self.resolve(each) for each in given),
            "Condition": self._condition,
        }

    def resolve(self, value: Any) -> Any:
        """The value with every function in it resolved, and what is AWS::NoValue left out."""
        if isinstance(value, dict):
            if len(value) == 1:
                ((name, given),) = value.items()
                if name in self._functions:
                    return self._functions[name](given)
                if name.startswith("Fn::"):
                    raise ValueError(f"{name} cannot be resolved without AWS.")
            pairs = ((key, self.resolve(each)) for key, each in value.items())
            return {str(key): each for key, each in pairs if each is not NO_VALUE}
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NO_VALUE]
        return value

    def _ref(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._declared:
            raise ValueError(f"parameter {name} has no default and was not given.")
        resource = self._resources.get(name, {})
        for key in ("FunctionName", "QueueName", "BucketName", "LogGroupName"):
            if key in resource.get("Properties", {}):
                return self.resolve(resource["Properties"][key])
        raise ValueError(f"{name} has no name that is known without AWS.")

    def _sub(self, given: Any) -> str:
        text, own = given if isinstance(given, list) else (given, {})

        def value(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.resolve(own[name]))
            return str(self._get_att(name.split(".", 1)) if "." in name else self._ref(name))

        made = _NAME_IN_TEXT.sub(value, text)
        if DYNAMIC in made:
            raise ValueError(f"{made} can be read on AWS alone.")
        return made

    def _get_att(self, given: Any) -> str:
        name, attribute = given.split(".", 1) if isinstance(given, str) else given
        if attribute != "Arn" or self._resources.get(name, {}).get("Type") != QUEUE:
            raise ValueError(f"{attribute} of {name} is not known without AWS.")
        return f"arn:aws:sqs:{self._values['AWS::Region']}:{ACCOUNT}:{self._ref(name)}"

    def _if(self, given: Any) -> Any:
        condition, then, otherwise = given
        return self.resolve(then if self._condition(condition) else otherwise)

    def _condition(self, name: str) -> bool:
        if name not in self._conditions:
            raise ValueError(f"there is no condition {name}.")
        return bool(self.resolve(self._conditions[name]))

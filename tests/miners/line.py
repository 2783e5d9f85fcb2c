"""TCP 4028 as firmwares serve it: JSON in, JSON and a NUL out, and the connection is closed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.miners.emulator import Emulator, Fault

Answer = dict[str, Any]


class LineEmulator(Emulator):
    """A firmware on 4028; it derives, and answers each command."""

    hangs_on = ""  #: the one command that is never answered

    def answer(self, command: str, parameter: str) -> Answer:
        """The answer to one command."""
        raise NotImplementedError

    def answer_all(self, commands: list[str]) -> Answer | None:
        """The answers to several at once; None = it takes one at a time."""
        return {command: [self.answer(command, "") | {"id": 1}] for command in commands}

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _request(reader)
        if request is None:
            return
        self.requests.append(json.dumps(request))
        if request.get("command") == self.hangs_on:
            await asyncio.Event().wait()
        await self.send(writer, self._spoilt(json.dumps(self._answer(request))).encode() + b"\0")

    def _answer(self, request: Answer) -> Answer:
        command, parameter = str(request.get("command", "")), str(request.get("parameter", ""))
        if not command:
            return {"STATUS": said("E", 23, "Invalid JSON"), "id": 1}
        if "+" not in command:
            return self.answer(command, parameter) | {"id": 1}
        together = self.answer_all(command.split("+"))
        return (
            {"STATUS": said("E", 14, "Invalid command"), "id": 1}
            if together is None
            else together | {"id": 1}
        )

    def _spoilt(self, text: str) -> str:
        if Fault.MALFORMED in self.faults:
            return text.replace(":", ";").replace("{", "(")
        if Fault.QUIRKY in self.faults:
            return "," + text[:-1].replace("}, {", "}{").replace("[{", "[,{").replace("}]", ",}]") + ",\n}"
        return text


async def _request(reader: asyncio.StreamReader) -> Answer | None:
    """What a client asks: it sends no end, so the request is whole when it can be read. {} = that never will be."""
    data = b""
    while piece := await reader.read(4096):
        data += piece
        try:
            request = json.loads(data.rstrip(b"\0\r\n"))
        except ValueError:
            if data.startswith(b"{"):
                continue
            return {}
        return request if isinstance(request, dict) else {}
    return None


def said(letter: str, code: int, message: str) -> list[Answer]:
    """The STATUS of an answer."""
    return [
        {"STATUS": letter, "When": 1_795_392_845, "Code": code, "Msg": message, "Description": "emulated"}
    ]

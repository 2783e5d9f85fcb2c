"""What no machine should say, and some day one will: JSON that is none of what was asked for."""

from __future__ import annotations

NONSENSE = {
    "nothing": "",
    "empty": "{}",
    "list": "[]",
    "number": "7",
    "deep": '{"Msg":' + "[" * 100_000,
    "wrong-kinds": '{"STATUS":7,"Msg":[1],"SUMMARY":{"a":1},"POOLS":7,"msg":[7],"code":"ok","enc":[1]}',
    "wrong-rows": '{"STATUS":[],"Msg":{"fw_ver":null,"mineroff":7},"SUMMARY":[7],"POOLS":[null],"enc":7}',
    "wrong-parts": '{"msg":{"miner":7,"summary":[1],"pools":{},"salt":[]},"code":null}',
    "huge": '{"Msg":{"mineroff":"false","salt":1},"SUMMARY":[{"Power":1e999,"Elapsed":"x"}],"code":1e999}',
}

"""Commands, choices and follow-up questions, as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intents.engine import Command, FollowUp
from intents.rules import LAST, Said, read
from intents.text import normalise


def hear(text: str) -> Said:
    return read(normalise(text))


WHOLE = {
    Command.PERSON: "人工 转人工 0 ０ 找个人 我要真人 有没有活人 叫你们领导 "
    "轉人工 转人工客服，谢谢 接人工 要人工服务 我要找人说话 找客服 "
    "让你们领导来 能不能找个人跟我说话 人工人工 zhuanrengong 不想跟机器人说话 给我回个电话 人工！！！ 請轉人工",
    Command.PROGRESS: "进度 我的工单 上次那事咋样了 查进度 20261122-0007 查一下工单 "
    "上回反映的问题有结果了吗 工单到哪了 处理得怎么样了",
    Command.MORE: "更多 继续 下一页 详细点 还有吗",
    Command.YES: "是 是的 对 嗯 好的 可以 ok 解决了 有用 要",
    Command.NO: "不是 不 没有 没用 没解决 不对 不行 没帮助",
    Command.BACK: "返回 上一步 主菜单 重新开始",
    Command.OTHER: "换一个 其他 都不是 别的问题",
    Command.STOP: "退出 取消 结束 别问了 不聊了",
    Command.GREETING: "你好 您好 在吗 有人吗 早上好 hello 你好，在吗 喂",
    Command.THANKS: "谢谢 好的谢谢 多谢 知道了，谢谢 再见 辛苦了 谢谢你们 拜拜",
    Command.IDENTITY: "你是谁 你是机器人吗 你能做什么 是真人吗 你会干啥",
    Command.ABUSE: "傻逼 操你妈 滚 垃圾机器人 sb",
}


@pytest.mark.parametrize(("command", "texts"), WHOLE.items(), ids=[str(command) for command in WHOLE])
def test_a_command_that_is_the_whole_message(command: Command, texts: str) -> None:
    for text in texts.split():
        said = hear(text)
        assert (said.command, said.pure) == (command, True), text


@pytest.mark.parametrize(
    "text",
    [
        "公司拖欠工资，我要找人工",
        "公司拖欠工资我要找人工",
        "转人工！工资三个月没发了",
        "我不想跟机器人说了，工伤的事到底谁管",
        "社保没交，叫你们领导来跟我说",
    ],
)
def test_a_person_is_asked_for_beside_something_else(text: str) -> None:
    said = hear(text)
    assert (said.command, said.pure) == (Command.PERSON, False)


@pytest.mark.parametrize(
    "text",
    [
        "我要找工作",
        "找人工智能培训",
        "人工流产假多少天",
        "公司人工成本太高要裁员",
        "老板找人打我",
        "人工费一天多少",
        "厂里让人加班不给钱",
        "领导不批年假怎么办",
        "是不是要签合同",
        "不是正式工能入会吗",
        "好的公司都有工会",
        "谢谢你的介绍，那加班费怎么算",
        "取消预约怎么弄",
        "施工进度慢能扣工资吗",
        "工伤认定进展到哪一步算受理",
        "1号发工资到现在没发",
        "第二个孩子产假多少天",
    ],
)
def test_questions_are_not_commands(text: str) -> None:
    said = hear(text)
    assert said.command not in {Command.PERSON, Command.YES, Command.NO, Command.STOP, Command.THANKS}
    assert said.choice is None
    assert not said.pure


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("1", 1),
        ("２", 2),
        ("3、", 3),
        ("③", 3),
        ("选2", 2),
        ("第二个", 2),
        ("第一条吧", 1),
        ("我选三", 3),
        ("就第1个", 1),
        ("九", 9),
        ("最后一个", LAST),
        ("最下面那个", LAST),
    ],
)
def test_a_choice(text: str, choice: int) -> None:
    said = hear(text)
    assert (said.choice, said.pure) == (choice, True)


ASKED = {
    FollowUp.MATERIALS: "要带什么材料 需要什么资料 要带啥 准备哪些东西 材料呢",
    FollowUp.DURATION: "多久 要多久 几天能办好 什么时候有结果 多长时间",
    FollowUp.PLACE: "去哪办 在哪儿办理 找谁 地址 到哪申请",
    FollowUp.PHONE: "电话 电话多少 有联系方式吗 号码发我",
    FollowUp.COST: "要花钱吗 收费吗 免费的吗 多少钱 费用",
    FollowUp.DEADLINE: "期限 有期限吗 截止日期 过期了怎么办 还来得及吗",
}


@pytest.mark.parametrize(("follow_up", "texts"), ASKED.items(), ids=[str(key) for key in ASKED])
def test_a_follow_up_question(follow_up: FollowUp, texts: str) -> None:
    for text in texts.split():
        said = hear(text)
        assert (said.follow_up, said.pure) == (follow_up, True), text


def test_a_follow_up_inside_a_question_of_its_own() -> None:
    said = hear("工伤认定要带什么材料")
    assert (said.follow_up, said.pure) == (FollowUp.MATERIALS, False)


@pytest.mark.parametrize("text", ["。。。", "666", "😂😂", "？？？", "", "   ", "12345678"])
def test_noise(text: str) -> None:
    assert hear(text).noise


@given(st.text(max_size=200))
def test_any_text_is_heard(text: str) -> None:
    said = hear(text)
    assert not (said.command and said.choice)
    assert said.choice is None or said.choice == LAST or 1 <= said.choice <= 9

"""Every fixed sentence that workers read. Plain words, short, kind; numbers that answer at any hour."""

from __future__ import annotations

from intents.engine import Danger

LOCAL = "以当地最新公布为准"

WELCOME = (
    "你好，这里是大兴区总工会职工热线，24小时都在。\n"
    "工资、工伤、辞退、社保、生活困难帮扶、入会，直接用一句话说你的事就行。\n"
    "我是自动服务，随时回“人工”找工会的同事。有生命危险先打110或120。"
)
WELCOME_AGAIN = "你好，又见面了。有事直接用一句话说，想找人回“人工”。"
SCANNED_AT = "你是在“{site}”扫的码，我记下了。"
EXAMPLES = ("老板拖着工资不发怎么办", "上班受伤算不算工伤", "家里有人得大病能帮吗", "怎么加入工会")

STOPPED = "好的，先到这儿。有事随时再来，回“人工”能找到工会的同事。"
NOT_UNDERSTOOD = "这句我没听明白，怕答错耽误你。换个说法再说一次？比如“厂里三个月没发工资”。也可以让同事来看。"
NOT_OURS = "这件事不归工会热线管，我不乱说。"
MAYBE_PERSON = "要不要转给工会的同事？"
ASK_BACK = "你是想问："
ASK_AGAIN = "那是不是想问这些："
NONE_OF_THEM = "都不是"
UPDATING = "这方面的规定正在更新，旧的说法不敢给你。让同事看过再答复你，好吗？"
NO_FOLLOW_UP = "这一点手头的资料里没有写明。要不要请同事帮你问清楚？"
NOTHING_EARLIER = "前面没有别的选项了。直接说你的事就行。"
HELPFUL = "说清楚了吗？"
HELPFUL_SPOKEN = "说清楚了吗？回“有用”或“没有”，找人回“人工”。"
SUM_BEGIN = "我帮你算（{title}）。不知道的回“不知道”，不想算了回“算了”。"
SUM_OFFER = "帮我算算"
SUM_OFFER_SPOKEN = "要我帮你算一算，回“帮我算”。"
SUM_SPOKEN = "要看规定和怎么办，回“1”；找人回“人工”。"
SUM_FAILED = "这个我没算成，不耽误你了。"
SUM_NONE = "这一项我还不会算，怕算错耽误你。"
DANGER_HEARD = (
    "收到。同事马上看这里，请把地点、几个人、现在怎么样接着写下来。"
    "情况变了、又有危险，先打110或120。心里难受，12356现在就有人接（号码" + LOCAL + "）。"
)
SUM_LEFT = "好，不算了。还有什么事，直接说。"
GLAD = "那就好。还有不清楚的接着问，事情办得不顺回“人工”。"
SORRY_OFFER = "没帮上忙，抱歉。要不要转给工会的同事？"
SORRY_HANDOFF = "没帮上忙，抱歉。这就请工会的同事来看。"
STUCK = "我几次都没弄明白，不耽误你了，这就请工会的同事来看。"
HANDOFF_ASKED = "好的，这就请工会的同事。"
HANDOFF_ARTICLE = "这类事要有人跟进，已经替你转给工会的同事。"
DECLINED = "好的，不转。换个说法再问我也行，想找人随时回“人工”。"
SECOND = "你还问到“{title}”，要我接着说吗？"
SOLVED_YES = "好，那就放心了。有事随时再来。"
SOLVED_NO = "好的，这就再请同事看。"
CALM = "你有火气我听着。能说说是什么事吗？工资、工伤、辞退、困难帮扶都可以；不想跟我说，回“人工”。"
CALM_AGAIN = "事情我愿意帮，骂解决不了。想好了说一句是什么事，或者回“人工”。"
LIMITED = "你发得太快了，消息都收到、都存着。我先歇一分钟再答；急事请打12351，有生命危险打110或120。"
TROUBLE = (
    "系统这会儿出了点问题，你的话可能没存上，请过几分钟再发一次。"
    "急事请打工会热线12351（24小时），有生命危险打110或120。"
)
LATE = "还在查，请等几秒，回复任意字看答案。急事请打12351，有生命危险打110或120。"
MORE_NONE = "后面没有了。还有什么想问的，直接说。"
UNKNOWN_PROGRESS = "你在这里还没有办理中的工单。以前在别处登记过的，请回“人工”，或打12351查询。"
YES, NO = "是", "不是"
HELPED, NOT_HELPED, PERSON = "有用", "没有帮助", "人工"

KINDS = {
    "image": "图片收到了，已经存好。我看不了图，请用一句话说说是什么事；需要人看图，回“人工”，同事能看到。",
    "voice": "语音收到了，已经存好。我还听不了语音，请打字说一句，错别字没关系；打字不方便就回“人工”或“0”，同事能听。",
    "video": "视频收到了，已经存好。我看不了视频，请用一句话说说是什么事；需要人看，回“人工”。",
    "file": "文件收到了，已经存好。我打不开文件，请用一句话说说是什么事；需要人看，回“人工”。",
    "location": "位置收到了，已经记下。请再说说是什么事；要是有危险，先打110或120。",
    "link": "链接收到了，已经存好。我不打开链接，请用一句话说说是什么事；需要人看，回“人工”。",
}
LISTENING = "收到语音，正在听，稍等一下。"
READ_BACK = "您说的是：“{words}”，对吗？"
READ_BACK_SPOKEN = "对就回“对”，不对就回“不对”。"
RIGHT, NOT_RIGHT = "对", "不对"
HEARD_WRONG = "没听准，抱歉。请再说一遍，或者打字说一句，错别字没关系；不方便就回“人工”，同事能听您的语音。"
NOT_HEARD = (
    "这段语音我没听清，已经存好。请打字说一句，错别字没关系；打字不方便就回“人工”或“0”，同事能听。有危险先打110或120。"
)
NOT_KEPT = "您前面发的{kind}没能存下来：{reason}。请再发一次，或者用一句话说说；要找人回“人工”。"
WHAT_CAME = {"image": "图片", "voice": "语音", "video": "视频", "file": "文件", "location": "位置", "link": "链接"}
KIND_WITH_TICKET = "收到了，已经放进工单{number}，同事能看到。还有要补充的，直接发。"

CLAIMED = "你好，我是工会的{name}，你的事我接手了。前面说的我都看到了，有要补充的直接发。"
CLOSED = "工单{number}办完了。你的事解决了吗？回“解决了”或“没有”。以后有事还在这里说。"

# What to say first when a life or a child may be at stake. After public guidance on crisis lines: is the person safe
# now, which numbers answer at this hour, a person is being called. No counselling, no judgement, no promise of secrecy.
DANGER = {
    Danger.SELF_HARM: (
        "谢谢你说出来。你现在安全吗？身边有人吗？\n"
        "已经在做伤害自己的事，或者手边就有东西，请马上打110或120，也请让身边的人陪着你。\n"
        "想找人说话，现在就有人接：12356（24小时），北京心理援助热线010-82951332（手机打）、"
        "800-810-1117（座机打）（号码" + LOCAL + "）。\n"
        "我在叫工会的同事，请告诉我你在哪儿。欠薪、工伤这些事，等你安全了，我们一件件帮你办。"
    ),
    Danger.HARM_OTHERS: (
        "先停一停，离开那个地方。你现在安全吗？旁边还有谁？\n"
        "有人会受伤的话，请马上打110；已经有人受伤打120。\n"
        "心里顶不住，现在就能打12356（24小时，号码" + LOCAL + "）。\n"
        "我在叫工会的同事。你受的委屈，咱们用能办成的办法要回来。"
    ),
    Danger.ACCIDENT: (
        "先保命：受伤、晕倒打120，着火打119，有人打人或被困打110，车祸打122。\n"
        "人先离开危险的地方；触电先断电，不要直接用手拉；煤气、毒气、井下不要跟着下去救。\n"
        "现在人安全了吗？在哪儿？几个人受伤？\n"
        "我在叫工会的同事。人救下来以后再拍照、留证据，工伤的事我们帮你办。"
    ),
    Danger.VIOLENCE: (
        "你现在安全吗？能离开就先离开，马上打110，说清地点。受伤了打120。\n"
        "打电话不方便，可以发短信到12110报警（" + LOCAL + "）。\n"
        "打人、关人、逼人干活都是违法的（劳动法第96条）。\n"
        "我在叫工会的同事，请告诉我你在哪儿、什么人、几个人。"
    ),
    Danger.CHILD_LABOUR: (
        "谢谢你告诉我们。孩子现在安全吗？有人打他、关他、受伤，请马上打110或120。\n"
        "招不满16岁的孩子干活是违法的，谁都可以举报，打12345或12333也行（号码"
        + LOCAL
        + "）（禁止使用童工规定第2、5条）。\n"
        "我在叫工会的同事，请写下：在哪儿、什么单位、孩子大概多大。已经干的活，工钱照样要给。"
    ),
    Danger.GROUP_PROTEST: (
        "先保证大家安全：别堵路、别爬高、别动手，有人受伤打120，有冲突打110。\n"
        "我在叫工会的同事，工会会去跟单位谈（工会法第28条）。\n"
        "请推几位代表（去反映情况不超过5人，信访工作条例第20条），写下：哪个单位、在哪儿、多少人、要解决什么、欠了多久多少钱。\n"
        "考勤、记工本、转账和聊天记录都留好。"
    ),
}
DANGER_TOPIC = {
    Danger.SELF_HARM: "meta.self_harm_crisis",
    Danger.HARM_OTHERS: "meta.self_harm_crisis",
    Danger.ACCIDENT: "safety.immediate_danger",
    Danger.VIOLENCE: "legal.workplace_abuse",
    Danger.CHILD_LABOUR: "legal.minor_worker",
    Danger.GROUP_PROTEST: "legal.collective_incident",
}
DANGER_URGENCY = {
    Danger.SELF_HARM: "crisis",
    Danger.HARM_OTHERS: "crisis",
    Danger.ACCIDENT: "crisis",
    Danger.VIOLENCE: "crisis",
    Danger.CHILD_LABOUR: "urgent",
    Danger.GROUP_PROTEST: "urgent",
}

BACK = "同事这次的接待结束了。还有什么事直接在这里说，要找人回“人工”。"
SEEN_LATE = "对不起，您前面发来的消息我们刚刚才看到，让您久等了。我已经请同事来回复您。"

CHANNELS = {"wechat": "微信", "wecom": "微信客服", "telegram": "Telegram", "web": "网页"}

LINK_CODE = (
    "你的绑定码是 {code}，10分钟内有效，只能用一次。\n"
    "在你的另一个聊天（比如微信、网页）里对我说：绑定 {code}\n"
    "连上以后，在哪边问“进度”都能查到两边的工单。这个码不要给别人，要码的都是骗子。"
)
LINK_DONE = "连上了，你在{where}的工单这边也能查到，回“进度”看。不是你本人要连的，回“解绑”。"
LINK_TOLD = "你的{where}刚刚和这里连上了。是你本人就不用管；不是你本人，马上回“解绑”。"
LINK_WRONG = "这个码对不上：可能打错了、过了10分钟，或者已经用过。在另一边回“绑定”再要一个。"
LINK_SHAPE = "绑定码是8位字母和数字，像这样发：绑定 {example}。还没有码，就在另一边回“绑定”。"
LINK_SELF = "这个码就是从这里发出的，要拿到另一个聊天里用。"
LINK_TWICE = "这两边已经连着了，不用再绑。回“进度”能看到两边的工单。"
LINK_WAIT = "码试错太多次了，请过10分钟再试。急事回“人工”。"
UNLINK_DONE = "解开了，这里和别处的聊天不再连着。"
UNLINK_NONE = "这里没有和别处连着，不用解绑。"
CARRIED = "这个对话刚刚在另一台设备上打开了。不是你本人，请回“人工”告诉我们。"
TICKETS_OF_ALL = "你现在有{count}张工单在办："
TICKET_LINE = "工单{number}（{where}）：{line}"

REASONS = {
    "asked": "本人要求人工",
    "stuck": "连续三次没听懂",
    "unhelpful": "答复没有帮助",
    "danger": "有危险",
    "article": "按规定须有人跟进",
    "offered": "同意转人工",
    "late": "消息看到晚了",
}


def welcome(site: str) -> str:
    """For whoever starts to follow; `site` is empty when they scanned no poster."""
    return f"{WELCOME}\n{SCANNED_AT.format(site=site)}" if site else WELCOME


def scanned(site: str) -> str:
    """For whoever follows already and scans a poster."""
    return f"{SCANNED_AT.format(site=site)}\n{WELCOME_AGAIN}" if site else WELCOME_AGAIN


def handed_over(number: str, *, on_duty: bool, opens: str, due: str, urgent: bool, wanted: list[str]) -> str:
    """What the worker is told when a ticket is open: its number, whether it is after hours, when a person answers."""
    if urgent:
        lines = [f"工单号{number}，已标为紧急并在呼叫值守同事，最晚{due}前联系你。请留在这里，别关。"]
    elif on_duty:
        lines = [f"工单号{number}。现在有人值守，{due}前在这里回复你。"]
    else:
        lines = [
            f"工单号{number}，已经登记好了。现在是下班时间，同事{opens}上班，{due}前在这里回复你。",
            "等的时候也可以接着问我。等不及可打工会热线12351（24小时）。",
        ]
    if wanted:
        lines.append(f"方便的话先写下：{'、'.join(wanted)}。不想说的可以不说。")
    return "\n".join(lines)


def already(number: str, line: str) -> str:
    """For a worker who asks for a person while a ticket is open."""
    return f"你的工单{number}还在：{line}。要补充的直接写在这里，同事都能看到。急事打12351。"

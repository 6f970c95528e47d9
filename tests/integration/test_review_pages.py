"""Pairs that need a person, in the console and over the API: side by side, answered, undone."""

from pathlib import Path

from foundation.database import Database
from tests.support.casework import office
from tests.support.desk import a_person, field, signed_in
from tests.support.web import client


async def test_a_pair_is_shown_side_by_side_and_answered(database: Database, database_url: str, tmp_path: Path) -> None:
    async with office(database, database_url, tmp_path) as desk:
        shared = {"name": "Anna Jansen", "phone": "+31612345678"}
        one = await desk.tell(message="From <b>home</b>", email="one@home.example", **shared)
        two = await desk.tell(message="From work", email="two@work.example", **shared)
        [pair] = await desk.call("review")
        assert pair["explanation"]["outcome"] == "review"
        person = await a_person(desk.parts, "noor", "agent")
        async with client(desk.parts) as web:
            await signed_in(web, desk.parts, person)
            page = await web.get("/desk/review")
            assert page.status_code == 200
            for shown in ("1 pair waits", "one@home.example", "two@work.example", "&lt;b&gt;home", "for one person"):
                assert shown in page.text, shown
            assert "mail address" in page.text
            here = (await web.get(f"/desk/cases/{await desk.number_of(one)}")).text
            for shown in ("Why this is not one case with", "different: against", "Would have told more:"):
                assert shown in here, shown
            typed = {"csrf": field(page), "one": field(page, "one"), "other": field(page, "other")}
            refused = await web.post("/desk/review", data={**typed, "answer": "same", "why": " "})
            assert refused.status_code == 422
            done = await web.post("/desk/review", data={**typed, "answer": "same", "why": "She told me"})
            assert done.status_code == 303, done.text
            assert "Nobody waits here" in (await web.get("/desk/review")).text
            number = await desk.number_of(two)
            assert await desk.number_of(one) == number
            case = await web.get(f"/desk/cases/{number}")
            assert "She told me" in case.text
            assert "Put into this case by one of us." in case.text

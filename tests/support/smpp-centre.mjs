// An SMS centre on the independent `smpp` for Node: takes texts, sends a receipt for each and one text in two parts.
// Arguments: port. Prints a line of JSON for each text it reads and for each answer to what it handed in.
import smpp from "smpp";

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
let number = 0;

smpp.createServer((session) => {
  const hand = (pdu) => session.deliver_sm(pdu, (answer) => say({ answered: answer.command_status }));
  session.on("bind_transceiver", (pdu) => {
    session.send(pdu.response());
    [1, 2].forEach((part) =>
      hand({
        source_addr: "31612345678", source_addr_ton: 1, source_addr_npi: 1, destination_addr: "3636", data_coding: 8,
        short_message: { udh: Buffer.from([5, 0, 3, 9, 2, part]), message: part === 1 ? "Рейс " : "отменён? 😀" },
      }),
    );
  });
  session.on("submit_sm", (pdu) => {
    const id = (0xa000 + number++).toString(16).toUpperCase();
    session.send(pdu.response({ message_id: id }));
    say({
      to: pdu.destination_addr, from: pdu.source_addr, text: pdu.short_message.message, coding: pdu.data_coding,
      header: pdu.short_message.udh ? [...Buffer.concat(pdu.short_message.udh)] : null, wants: pdu.registered_delivery,
      valid: pdu.validity_period,
    });
    hand({
      source_addr: pdu.destination_addr, source_addr_ton: 1, source_addr_npi: 1, destination_addr: pdu.source_addr,
      esm_class: 4, receipted_message_id: id, message_state: 2, short_message: "",
    });
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => { session.send(pdu.response()); session.close(); });
  session.on("error", () => session.close());
}).listen(Number(process.argv[2]), "127.0.0.1", () => say({ ready: true }));

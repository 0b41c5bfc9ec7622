// The SMSC of the npm package `smpp`, with the manners that it is told as JSON in its first argument.
// It writes one JSON object a line on what happens, and reads one command a line: {"do": "cut"} or
// {"do": "text_in", "text": …}. It ends when its input ends.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

const manners = JSON.parse(process.argv[2]);
const sessions = new Set();
let lastNumber = 0xa0;
let taken = 0;
let refused = 0;

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const written = (number, base) => (base === 'hex' ? number.toString(16).toUpperCase() : String(number));

function date() {
  const digits = new Date().toISOString().replace(/\D/g, '').slice(2);
  return digits.slice(0, manners.long_dates ? 12 : 10);
}

function receipt(number, submission) {
  const delivered = !manners.undeliverable;
  const pdu = {
    source_addr: submission.destination_addr,
    destination_addr: submission.source_addr,
    esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
    short_message: '',
  };
  if (manners.receipts_in_options) {
    pdu.receipted_message_id = written(number, manners.response_ids);
    pdu.message_state = delivered ? smpp.MESSAGE_STATE.DELIVERED : smpp.MESSAGE_STATE.UNDELIVERABLE;
    pdu.ms_msg_wait_facilities = 0x80;
  } else {
    const id = '0'.repeat(manners.zeros) + written(number, manners.receipt_ids);
    pdu.short_message =
      `id:${id} sub:001 dlvrd:${delivered ? '001' : '000'} submit date:${date()} done date:${date()} ` +
      `stat:${delivered ? 'DELIVRD' : 'UNDELIV'} err:000 text:`;
  }
  return pdu;
}

function report(session, number, submission, then) {
  let waiting = manners.receipt_copies;
  for (let copy = 0; copy < manners.receipt_copies; copy += 1) {
    session.deliver_sm(receipt(number, submission), (response) => {
      tell({ event: 'receipt_answered', status: response.command_status });
      waiting -= 1;
      if (waiting === 0) then();
    });
  }
}

function submitted(session, pdu) {
  if (manners.refusal || refused < manners.throttled) {
    refused += 1;
    tell({ event: 'refused' });
    session.send(pdu.response({ command_status: manners.refusal || smpp.ESME_RTHROTTLED }));
    return;
  }
  taken += 1;
  tell({
    event: 'taken',
    to: pdu.destination_addr,
    sender: pdu.source_addr,
    text: pdu.short_message.message,
    data_coding: pdu.data_coding,
    source_ton: pdu.source_addr_ton,
    destination_ton: pdu.dest_addr_ton,
    registered_delivery: pdu.registered_delivery,
  });
  const number = (lastNumber += 1);
  const accept = () => session.send(pdu.response({ message_id: written(number, manners.response_ids) }));
  if (taken <= manners.drops) session.destroy();
  else if (taken <= manners.silences) return;
  else if (manners.receipts === 'before') report(session, number, pdu, accept);
  else {
    accept();
    if (manners.receipts === 'after') report(session, number, pdu, () => {});
  }
}

const server = smpp.createServer((session) => {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
  session.on('error', (error) => tell({ event: 'error', message: String(error) }));
  session.on('bind_transceiver', (pdu) => {
    tell({ event: 'bound', system_id: pdu.system_id, password: pdu.password });
    session.send(pdu.response({ system_id: 'npm-smpp' }));
  });
  session.on('submit_sm', (pdu) => submitted(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    tell({ event: 'unbound' });
    session.send(pdu.response(), () => session.close());
  });
});

const commands = {
  cut: () => sessions.forEach((session) => session.destroy()),
  text_in: ({ text }) =>
    [...sessions].slice(-1)[0].deliver_sm(
      { source_addr: '12025550123', destination_addr: '12025550100', short_message: text },
      (response) => tell({ event: 'text_answered', status: response.command_status }),
    ),
};

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on('close', () => process.exit(0));
server.listen(0, '127.0.0.1', () => tell({ event: 'listening', port: server.address().port }));

"""pika's blocking connection, an ack for each message:  pika_consumer.py URL QUEUE COUNT PREFETCH"""
import sys

import pika

from measure import Measure


def main(url, queue, count, prefetch):
    measure = Measure()

    def on_message(channel, method, _properties, body):
        measure.message(len(body))
        channel.basic_ack(method.delivery_tag)
        if measure.messages == count:
            channel.stop_consuming()

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=prefetch)
    channel.basic_consume(queue, on_message)
    channel.start_consuming()
    measure.print()
    connection.close()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
